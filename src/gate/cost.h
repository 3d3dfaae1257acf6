// What the gate costs here: throughput, connections and memory through a gate of its own against the same server directly, and against a loop that
// does nothing but splice between two sockets, which is the most that any relay can have. Server, clients and gate are in this process and speak over
// 127.0.0.1; nothing else is reached. Takes a minute or so; blocks. SIGPIPE must be ignored by the process, and the descriptor limit is raised for good.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/result.h"

namespace locki::gate {

struct CostPlan {
  std::size_t bytes = 1ULL << 30;  // of each download and each upload
  int repeats = 3;                 // of everything but the idle connections
  int connections = 500;           // one after the other, for the time that one takes
  int idle = 1000;                 // at the same time, for what they hold
  int pairs = 20'000;              // requests with their answers, on one connection
  bool one_core = false;           // client, server and gate share one processor meanwhile
};

// A sample a repeat. The ways are measured in turn, so that a neighbour's noise meets all of them.
struct Ways {
  std::vector<double> direct, gate, bare;  // bare: through the splicing loop
};

struct GateCost {
  Ways download, upload;   // bytes a second
  Ways round_trip;         // seconds for a small request and its answer
  Ways connection;         // seconds until a connection stands, the tunnel's answer included; nothing for the loop
  int idle = 0;            // connections that were held
  double idle_bytes = 0;   // memory that the gate has for them; what the measuring holds itself is taken off
  long idle_descriptors = 0;
};

// kNoSpace: there cannot be as many descriptors. kFailed, kTimeout: something that was sent did not arrive.
Result<GateCost> measure_cost(const CostPlan& plan);

}  // namespace locki::gate
