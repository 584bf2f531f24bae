#include "iserv/ctl/report.h"

#include <gtest/gtest.h>

#include <sstream>

namespace splicehost::ctl {
namespace {

using State = Check::State;

const Check kWorks{State::kWorks, ""};

WayReport way(const std::string& name, const Check& ours) { return {name, "", "", kWorks, ours}; }

GhcReport goodGhc() {
  GhcReport ghc;
  ghc.program = "/usr/bin/ghc";
  ghc.version = "9.0.2";
  ghc.libdir = "/usr/lib/ghc";
  ghc.known = true;
  ghc.build = "/opt/iservctl add-ghc /usr/bin/ghc";
  ghc.ways = {way("vanilla", kWorks), way("profiled", kWorks), way("dynamic", kWorks)};
  return ghc;
}

DoctorReport reportOf(std::vector<GhcReport> ghcs) { return {"/opt", "9.0.2", std::move(ghcs)}; }

TEST(DoctorReport, ShowsATable) {
  DoctorReport report = reportOf({goodGhc()});
  EXPECT_EQ(asTable(report),
            "Splicehost in /opt\n"
            "\n"
            "GHC 9.0.2   /usr/bin/ghc\n"
            "\n"
            "  way        libraries   GHC's own interpreter   Splicehost\n"
            "  vanilla    installed   works                   works\n"
            "  profiled   installed   works                   works\n"
            "  dynamic    installed   works                   works\n");
  EXPECT_TRUE(report.works());
}

TEST(DoctorReport, SaysHowToGetWhatIsMissing) {
  GhcReport ghc = goodGhc();
  ghc.ways[1] = {"profiled", "/usr/lib/Prelude.p_hi", "apt-get install ghc-prof", {}, {}};
  ghc.ways[2].ours.state = State::kNotBuilt;
  ghc.missingTools = "libcapnp-dev";
  ghc.installTools = "apt-get install libcapnp-dev";
  DoctorReport report = reportOf({ghc});
  EXPECT_EQ(asTable(report),
            "Splicehost in /opt\n"
            "\n"
            "GHC 9.0.2   /usr/bin/ghc\n"
            "\n"
            "  way        libraries   GHC's own interpreter   Splicehost\n"
            "  vanilla    installed   works                   works\n"
            "  profiled   missing     -                       -\n"
            "  dynamic    installed   works                   not built\n"
            "\n"
            "  The profiled way lacks /usr/lib/Prelude.p_hi\n"
            "  To install it:  apt-get install ghc-prof\n"
            "\n"
            "  Building interpreters takes libcapnp-dev\n"
            "  To install it:  apt-get install libcapnp-dev\n"
            "\n"
            "  To build what is not built:  /opt/iservctl add-ghc /usr/bin/ghc\n");
  EXPECT_FALSE(report.works());
}

TEST(DoctorReport, QuotesFailuresShortened) {
  GhcReport ghc = goodGhc();
  std::string why = "first\n\n" + std::string(200, 'x') + "\n";
  for (int i = 0; i < 10; ++i) why += "more\n";
  ghc.ways[0].own = {State::kFails, why};
  DoctorReport report = reportOf({ghc});
  std::string table = asTable(report);
  EXPECT_NE(table.find("  vanilla    installed   FAILS                   works\n"), std::string::npos) << table;
  EXPECT_NE(table.find("\n  GHC's own interpreter fails in the vanilla way:\n      first\n"), std::string::npos)
      << table;
  EXPECT_NE(table.find("      more\n      ...\n"), std::string::npos) << table;
  std::istringstream lines(table);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 100u) << line;
  // That GHC's own does not work is no fault of ours.
  EXPECT_TRUE(report.works());
}

TEST(DoctorReport, WorksIfEveryKnownGhcDoes) {
  GhcReport foreign = goodGhc();
  foreign.known = false;
  for (WayReport& way : foreign.ways) way.ours.state = State::kUnknown;
  GhcReport failing = goodGhc();
  failing.ways[2].ours = {State::kFails, "no"};
  GhcReport broken;
  broken.trouble = "broken";
  GhcReport withoutProfiling = goodGhc();
  withoutProfiling.ways[1] = {"profiled", "file", "command", {}, {}};
  GhcReport withoutWays = goodGhc();
  withoutWays.ways.clear();

  EXPECT_TRUE(reportOf({goodGhc(), foreign}).works());
  EXPECT_TRUE(reportOf({withoutProfiling}).works());
  EXPECT_FALSE(reportOf({goodGhc(), failing}).works());
  EXPECT_FALSE(reportOf({goodGhc(), broken}).works());
  EXPECT_FALSE(reportOf({withoutWays}).works());
  EXPECT_FALSE(reportOf({foreign}).works());
  EXPECT_FALSE(reportOf({}).works());
}

TEST(DoctorReport, NamesWhatItDoesNotKnow) {
  GhcReport foreign = goodGhc();
  foreign.version = "7.0.1";
  foreign.known = false;
  std::string table = asTable(reportOf({foreign}));
  EXPECT_NE(table.find("works with GHC 9.0.2, not with 7.0.1"), std::string::npos) << table;
  EXPECT_EQ(table.find("add-ghc"), std::string::npos) << table;
}

TEST(DoctorReport, IsJsonToo) {
  GhcReport ghc = goodGhc();
  ghc.ways = {way("vanilla", {State::kFails, "\"no\""})};
  EXPECT_EQ(asJson(reportOf({ghc})),
            "{\"root\": \"/opt\", \"knownGhcs\": \"9.0.2\", \"ghcs\": [{\"program\": \"/usr/bin/ghc\", "
            "\"trouble\": \"\", \"version\": \"9.0.2\", \"libdir\": \"/usr/lib/ghc\", \"known\": true, "
            "\"missingTools\": \"\", \"installTools\": \"\", "
            "\"build\": \"/opt/iservctl add-ghc /usr/bin/ghc\", \"ways\": [{\"way\": \"vanilla\", "
            "\"missing\": \"\", \"install\": \"\", \"own\": {\"state\": \"works\", \"why\": \"\"}, "
            "\"splicehost\": {\"state\": \"fails\", \"why\": \"\\\"no\\\"\"}}], \"works\": false}], "
            "\"works\": false}\n");
}

}  // namespace
}  // namespace splicehost::ctl
