// The subcommands of iservctl, each in a file of its name. An add function adds one; when that has run, `status` is the
// exit status.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace splicehost::ctl {

// Interpreters for one more GHC, in this installation.
void addAddGhc(CLI::App& app, int& status);

// The settings in force.
void addConfig(CLI::App& app, int& status);

// Which GHCs there are, and what works with each. 0 if every GHC that this Splicehost knows works with it, else 1.
void addDoctor(CLI::App& app, int& status);

// What to tell GHC.
void addFlags(CLI::App& app, int& status);

// What the broker has written.
void addLog(CLI::App& app, int& status);

// What the broker and its zygotes and sessions are doing.
void addStatus(CLI::App& app, int& status);

// Ends the broker.
void addStop(CLI::App& app, int& status);

// Has the broker load libraries before they are needed. `command` is what followed "--" on the command line.
void addWarm(CLI::App& app, int& status, const std::vector<std::string>& command);

}  // namespace splicehost::ctl
