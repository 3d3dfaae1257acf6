// What EventLoop is made of, for net/*.cc only.
#pragma once

#include <boost/asio/io_context.hpp>

#include "net/event_loop.h"

namespace locki::net {

struct EventLoop::Impl {
  boost::asio::io_context context{1};
};

}  // namespace locki::net
