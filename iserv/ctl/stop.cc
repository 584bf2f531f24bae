#include "iserv/ctl/stop.h"

#include <CLI/CLI.hpp>
#include <cstdio>

#include "iserv/ctl/broker_client.h"

namespace splicehost::ctl {

namespace {

// Whether there was one.
Result<bool> stopBroker() {
  Result<BrokerPlace> place = BrokerPlace::own();
  if (!place) return place.error();
  Result<std::optional<BrokerClient>> client = BrokerClient::connect(place->socket);
  if (!client) return client.error();
  if (!*client) return false;
  Status stopped = (*client)->stop();
  if (!stopped) return stopped.error();
  return true;
}

}  // namespace

void addStop(CLI::App& app, int& status) {
  CLI::App* command =
      app.add_subcommand("stop", "End the broker and its zygotes; sessions that run go on");
  command->callback([&status] {
    Result<bool> stopped = stopBroker();
    if (stopped) {
      std::puts(*stopped ? "The broker has ended." : "No broker runs; there is nothing to stop.");
    } else {
      std::fprintf(stderr, "iservctl: %s\n", stopped.error().message.c_str());
    }
    status = stopped ? 0 : 1;
  });
}

}  // namespace splicehost::ctl
