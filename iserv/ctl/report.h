// What `iservctl doctor` found, and how it is shown.
#pragma once

#include <array>
#include <string>
#include <vector>

namespace splicehost::ctl {

// Whether something works.
struct Check {
  enum class State {
    kNotTried,  // it could not be: libraries are missing
    kNotBuilt,  // of our interpreter: there is none
    kUnknown,   // of our interpreter: this GHC is not one that Splicehost knows
    kWorks,
    kFails,
  };
  State state = State::kNotTried;
  std::string why;  // of kFails: what was said
};

// One RTS way of a GHC.
struct WayReport {
  std::string name;     // vanilla, profiled or dynamic
  std::string missing;  // a library file that GHC lacks; empty if it has all
  std::string install;  // then, what to do to get it
  Check own;            // a splice compiled with the interpreter that GHC brings along
  Check ours;           // and with Splicehost's
};

struct GhcReport {
  std::string program;
  std::string trouble;  // why nothing below is known; usually empty
  std::string version;
  std::string libdir;
  bool known = false;        // this Splicehost can be built for that version
  std::string missingTools;  // Debian packages that building interpreters takes; usually empty
  std::string installTools;  // then, the command that installs them
  std::string build;         // the command that builds the interpreters
  std::vector<WayReport> ways;

  // Whether ours works in every way that this GHC has, of which there must be one.
  bool works() const;
};

struct DoctorReport {
  std::string root;       // where this Splicehost is
  std::string knownGhcs;  // the versions that it can be built for, as a list for a person
  std::vector<GhcReport> ghcs;

  // Whether each GHC that can work does, and there is one.
  bool works() const;
};

// For a person, in up to 100 columns where paths and messages of others permit. Ends with a
// newline.
std::string asTable(const DoctorReport& report);

// For a program: one JSON object, and a newline. docs/iservctl.md describes it.
std::string asJson(const DoctorReport& report);

}  // namespace splicehost::ctl
