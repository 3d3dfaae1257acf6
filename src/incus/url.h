// Parts of Incus' URLs, percent-encoded. Pure.
#pragma once

#include <string>
#include <string_view>

namespace locki::incus {

// Everything but letters, digits and -._~ becomes %XX: good for a path segment and for a query value.
std::string encoded(std::string_view text);

// "/1.0/instances/NAME" + rest
std::string instance_url(std::string_view name, std::string_view rest = "");
std::string volume_url(std::string_view pool, std::string_view name);

}  // namespace locki::incus
