#include "iserv/ctl/report.h"

#include <algorithm>
#include <sstream>

#include "iserv/ctl/json.h"

namespace splicehost::ctl {

namespace {

using State = Check::State;

// Lines of a complaint that are shown; the rest rarely tells more.
constexpr int kShownLines = 6;
constexpr size_t kShownWidth = 94;

std::string_view word(State state) {
  switch (state) {
    case State::kNotTried:
      return "-";
    case State::kNotBuilt:
      return "not built";
    case State::kUnknown:
      return "unknown GHC";
    case State::kWorks:
      return "works";
    case State::kFails:
      return "FAILS";
  }
  return "";
}

// As in JSON: what a program compares with.
std::string_view identifier(State state) {
  switch (state) {
    case State::kNotTried:
      return "not-tried";
    case State::kNotBuilt:
      return "not-built";
    case State::kUnknown:
      return "unknown-ghc";
    case State::kWorks:
      return "works";
    case State::kFails:
      return "fails";
  }
  return "";
}

std::string padded(std::string_view text, size_t width) {
  std::string cell(text);
  cell.resize(std::max(width, cell.size()), ' ');
  return cell;
}

void writeRow(std::ostream& out, std::string_view way, std::string_view libraries, std::string_view own,
              std::string_view ours) {
  out << "  " << padded(way, 11) << padded(libraries, 12) << padded(own, 24) << ours << "\n";
}

// What others said, indented and shortened.
void writeQuoted(std::ostream& out, const std::string& text) {
  std::istringstream lines(text);
  int count = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    if (++count > kShownLines) {
      out << "      ...\n";
      return;
    }
    out << "      " << (line.size() > kShownWidth ? line.substr(0, kShownWidth - 3) + "..." : line) << "\n";
  }
}

void writeFailure(std::ostream& out, const std::string& interpreter, const WayReport& way, const Check& check) {
  if (check.state != State::kFails) return;
  out << "\n  " << interpreter << " fails in the " << way.name << " way:\n";
  writeQuoted(out, check.why);
}

// What the user can do about what is not there.
void writeAdvice(std::ostream& out, const GhcReport& ghc) {
  bool build = false;
  for (const WayReport& way : ghc.ways) {
    if (!way.missing.empty()) {
      out << "\n  The " << way.name << " way lacks " << way.missing << "\n  To install it:  " << way.install << "\n";
      build = true;
    }
    build |= way.ours.state == State::kNotBuilt;
  }
  if (!ghc.known || !build) return;
  if (!ghc.missingTools.empty()) {
    out << "\n  Building interpreters takes " << ghc.missingTools << "\n  To install it:  " << ghc.installTools << "\n";
  }
  out << "\n  To build what is not built:  " << ghc.build << "\n";
}

void writeGhc(std::ostream& out, const GhcReport& ghc, const DoctorReport& report) {
  if (!ghc.trouble.empty()) {
    out << ghc.program << "\n\n  This does not work as a GHC:\n";
    writeQuoted(out, ghc.trouble);
    return;
  }
  out << "GHC " << ghc.version << "   " << ghc.program << "\n\n";
  writeRow(out, "way", "libraries", "GHC's own interpreter", "Splicehost");
  for (const WayReport& way : ghc.ways) {
    writeRow(out, way.name, way.missing.empty() ? "installed" : "missing", word(way.own.state), word(way.ours.state));
  }
  if (!ghc.known) {
    out << "\n  This Splicehost works with GHC " << report.knownGhcs << ", not with " << ghc.version << ".\n";
  }
  writeAdvice(out, ghc);
  for (const WayReport& way : ghc.ways) {
    writeFailure(out, "GHC's own interpreter", way, way.own);
    writeFailure(out, "Splicehost", way, way.ours);
  }
}

std::string checkAsJson(const Check& check) {
  return jsonObject({{"state", jsonString(identifier(check.state))}, {"why", jsonString(check.why)}});
}

std::string ghcAsJson(const GhcReport& ghc) {
  std::vector<std::string> ways;
  for (const WayReport& way : ghc.ways) {
    ways.push_back(jsonObject({{"way", jsonString(way.name)},
                               {"missing", jsonString(way.missing)},
                               {"install", jsonString(way.install)},
                               {"own", checkAsJson(way.own)},
                               {"splicehost", checkAsJson(way.ours)}}));
  }
  return jsonObject({{"program", jsonString(ghc.program)},
                     {"trouble", jsonString(ghc.trouble)},
                     {"version", jsonString(ghc.version)},
                     {"libdir", jsonString(ghc.libdir)},
                     {"known", jsonBool(ghc.known)},
                     {"missingTools", jsonString(ghc.missingTools)},
                     {"installTools", jsonString(ghc.installTools)},
                     {"build", jsonString(ghc.build)},
                     {"ways", jsonArray(ways)},
                     {"works", jsonBool(ghc.works())}});
}

}  // namespace

bool GhcReport::works() const {
  bool any = false;
  for (const WayReport& way : ways) {
    if (!way.missing.empty()) continue;
    if (way.ours.state != State::kWorks) return false;
    any = true;
  }
  return any;
}

bool DoctorReport::works() const {
  bool any = false;
  for (const GhcReport& ghc : ghcs) {
    bool foreign = ghc.trouble.empty() && !ghc.known;
    if (!foreign && !ghc.works()) return false;
    any |= !foreign;
  }
  return any;
}

std::string asTable(const DoctorReport& report) {
  std::ostringstream out;
  out << "Splicehost in " << report.root << "\n";
  for (const GhcReport& ghc : report.ghcs) {
    out << "\n";
    writeGhc(out, ghc, report);
  }
  if (report.ghcs.empty()) {
    out << "\nThere is no GHC in PATH, ~/.ghcup/bin or /opt/ghc; name one with --ghc.\n";
  }
  return out.str();
}

std::string asJson(const DoctorReport& report) {
  std::vector<std::string> ghcs;
  for (const GhcReport& ghc : report.ghcs) ghcs.push_back(ghcAsJson(ghc));
  return jsonObject({{"root", jsonString(report.root)},
                     {"knownGhcs", jsonString(report.knownGhcs)},
                     {"ghcs", jsonArray(ghcs)},
                     {"works", jsonBool(report.works())}}) +
         "\n";
}

}  // namespace splicehost::ctl
