#include "iserv/ctl/commands.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>

#include "iserv/base/configuration.h"
#include "iserv/ctl/table.h"

namespace splicehost::ctl {

namespace {

std::string aboutFile() {
  std::string path = configurationFile();
  if (path.empty()) return "There is no configuration file: neither XDG_CONFIG_HOME nor HOME is set.\n";
  std::error_code ignored;
  bool there = std::filesystem::exists(path, ignored);
  return "The configuration file is " + path + (there ? ".\n" : ", which does not exist.\n");
}

}  // namespace

void addConfig(CLI::App& app, int& status) {
  CLI::App* command = app.add_subcommand("config", "Show each setting, and where its value comes from");
  command->callback([&status] {
    Result<Configuration> configuration = readConfiguration();
    if (!configuration) {
      std::fprintf(stderr, "iservctl: %s\n", configuration.error().message.c_str());
      status = 1;
      return;
    }
    Table table({{"setting"}, {"value"}, {"from"}});
    for (const Configuration::Setting& setting : configuration->settings) {
      table.add({std::string(setting.name), setting.value.empty() ? "-" : setting.value, setting.source});
    }
    std::printf("%s\n%s", table.text().c_str(), aboutFile().c_str());
    status = 0;
  });
}

}  // namespace splicehost::ctl
