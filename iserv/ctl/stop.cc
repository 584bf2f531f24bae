#include "iserv/ctl/commands.h"

#include <CLI/CLI.hpp>
#include <cstdio>

#include "iserv/ctl/broker_client.h"

namespace splicehost::ctl {

namespace {

// How many there were.
Result<size_t> stopBrokers() {
  Result<std::vector<BrokerClient>> brokers = runningBrokers();
  if (!brokers) return brokers.error();
  for (BrokerClient& broker : *brokers) {
    if (Status stopped = broker.stop(); !stopped) return stopped.error();
  }
  return brokers->size();
}

}  // namespace

void addStop(CLI::App& app, int& status) {
  CLI::App* command = app.add_subcommand("stop", "End the user's brokers and their zygotes; sessions that run go on");
  command->callback([&status] {
    Result<size_t> stopped = stopBrokers();
    if (stopped && *stopped > 1) {
      std::printf("%zu brokers have ended.\n", *stopped);
    } else if (stopped) {
      std::puts(*stopped == 1 ? "The broker has ended." : "No broker runs; there is nothing to stop.");
    } else {
      std::fprintf(stderr, "iservctl: %s\n", stopped.error().message.c_str());
    }
    status = stopped ? 0 : 1;
  });
}

}  // namespace splicehost::ctl
