// `iservctl doctor`: which GHCs there are, and what works with each.
#pragma once

#include <optional>

#include "iserv/ctl/ghcs.h"
#include "iserv/ctl/installation.h"
#include "iserv/ctl/process.h"
#include "iserv/ctl/report.h"

namespace CLI {
class App;
}

namespace splicehost::ctl {

// Adds the subcommand. When it has run, `status` is the exit status: 0 if every GHC that this
// Splicehost knows works with it, else 1.
void addDoctor(CLI::App& app, int& status);

// Examines every GHC in these places, by compiling a splice in each way. Takes seconds; each GHC
// that is examined is named on stderr if that is a terminal. Fails if there is no room for
// temporary files, or when the user stops it.
Result<DoctorReport> examine(ProcessRunner& runner, const Installation& installation,
                             const SearchPlaces& places);

}  // namespace splicehost::ctl
