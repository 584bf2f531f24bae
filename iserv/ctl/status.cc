#include "iserv/ctl/commands.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <thread>

#include "iserv/base/configuration.h"
#include "iserv/ctl/broker_client.h"
#include "iserv/ctl/status_report.h"

namespace splicehost::ctl {

namespace {

int64_t now() {
  auto since1970 = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(since1970).count();
}

// As the kernel tells it.
std::string stateOf(uint32_t processId) {
  std::ifstream file("/proc/" + std::to_string(processId) + "/stat");
  std::string stat;
  std::getline(file, stat);
  // The program's name, in parentheses, may contain anything.
  size_t end = stat.rfind(')');
  if (end == std::string::npos || end + 2 >= stat.size()) return "ended";
  switch (stat[end + 2]) {
    case 'R':
      return "running";
    case 'S':
    case 'D':
      return "waiting";
    case 'T':
    case 't':
      return "stopped";
    default:
      return "ended";
  }
}

Result<std::string> noBroker() {
  Result<Configuration> configuration = readConfiguration();
  if (!configuration) return configuration.error();
  const Configuration::Setting& share = configuration->settings[0];
  if (!configuration->share) {
    return "No broker runs, and none will be started: share is off (" + share.source + ").\n";
  }
  return std::string("No broker runs. The next ghc that needs one starts it.\n");
}

// Of all of the user's brokers, that of this terminal first.
Result<std::string> report(bool json) {
  Result<std::vector<BrokerClient>> brokers = runningBrokers();
  if (!brokers) return brokers.error();
  if (brokers->empty()) return json ? noBrokerAsJson() + "\n" : noBroker();
  std::vector<BrokerStatus> statuses;
  for (BrokerClient& broker : *brokers) {
    Result<BrokerStatus> status = broker.status();
    if (!status) return status.error();
    statuses.push_back(kj::mv(*status));
  }
  std::vector<std::string> others;
  for (size_t i = 1; i < statuses.size(); ++i) {
    others.push_back(json ? asJson(*statuses[i], stateOf) : "\n" + asTable(*statuses[i], now(), stateOf));
  }
  if (json) return asJson(*statuses[0], stateOf, others) + "\n";
  std::string tables = asTable(*statuses[0], now(), stateOf);
  for (const std::string& table : others) tables += table;
  return tables;
}

int runStatus(bool json, bool watch) {
  bool redraw = watch && !json && isatty(STDOUT_FILENO);
  for (;;) {
    Result<std::string> shown = report(json);
    // Home, then what is there, then nothing below it: it does not flicker.
    if (redraw) std::fputs("\033[H\033[2J", stdout);
    if (shown) {
      std::fputs(shown->c_str(), stdout);
    } else {
      std::fprintf(stderr, "iservctl: %s\n", shown.error().message.c_str());
    }
    if (!watch) return shown ? 0 : 1;
    if (!json && !redraw) std::fputs("\n", stdout);
    if (std::fflush(stdout) != 0) return 1;
    std::this_thread::sleep_for(std::chrono::seconds(1));
  }
}

}  // namespace

void addStatus(CLI::App& app, int& status) {
  struct Options {
    bool json = false;
    bool watch = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("status", "Show the broker's zygotes and sessions");
  command->add_flag("--json", options->json, "Write JSON instead of a table");
  command->add_flag("--watch", options->watch, "Show it again every second, until ^C");
  command->callback([options, &status] { status = runStatus(options->json, options->watch); });
}

}  // namespace splicehost::ctl
