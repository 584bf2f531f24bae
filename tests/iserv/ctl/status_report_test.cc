#include "iserv/ctl/status_report.h"

#include <capnp/message.h>
#include <gtest/gtest.h>

#include <sstream>

namespace splicehost::ctl {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kNow = 2'000'000 * kSecond;

std::string always(uint32_t) { return "waiting"; }

capnp::Data::Reader data(std::string_view text) {
  return {reinterpret_cast<const kj::byte*>(text.data()), text.size()};
}

// A broker that has a root zygote, one with lens, and a session.
class StatusReport : public testing::Test {
 protected:
  ~StatusReport() noexcept override = default;
  StatusReport() {
    status_.setProcessId(4711);
    status_.setStarted(kNow - 720 * kSecond);
    status_.setDirectory("/run/user/1000/splicehost");
    status_.setAttaches(63);
    status_.setHits(58);
    status_.setSavedNanoseconds(31 * kSecond);
    status_.setMemoryLimit(uint64_t{6026} << 20);
    status_.setMemoryUsed(uint64_t{312} << 20);
    auto zygotes = status_.initZygotes(2);
    auto root = zygotes[0];
    root.setProcessId(4712);
    root.setGhcVersion("9.0.2");
    root.setWay(schema::Way::VANILLA);
    root.setProportionalBytes(24 << 20);
    root.setResidentBytes(40 << 20);
    root.setSharedBytes(16 << 20);
    root.setForks(5);
    root.setSpares(2);
    root.setLastUsed(kNow - 300 * kSecond);
    auto lens = zygotes[1];
    lens.setProcessId(47120);
    lens.setGhcVersion("9.0.2");
    lens.setWay(schema::Way::PROFILED);
    auto files = lens.initFiles(2);
    files.set(0, data("/usr/lib/ghc/base-4.15.1.0/HSbase-4.15.1.0.o"));
    files.set(1, data("/x/libHSlens-5.0.1-AoCTUgbk72lLKSz1I2VTsj_p.a"));
    lens.setProportionalBytes(288 << 20);
    lens.setResidentBytes(300 << 20);
    lens.setSharedBytes(12 << 20);
    lens.setSymbols(7);
    lens.setLastUsed(kNow - 2 * kSecond);
    lens.setGrowing(true);
    auto session = status_.initSessions(1)[0];
    session.setProcessId(5000);
    session.setClientProcessId(4990);
    session.setZygoteProcessId(47120);
    session.setStarted(kNow - kSecond / 2);
    session.setReplayed(3);
    auto unshared = status_.initUnshared(1)[0];
    unshared.setFile(data("/x/libworkers.so"));
    unshared.setGhcVersion("9.0.2");
    unshared.setWay(schema::Way::DYNAMIC);
    unshared.setWhy("it changes threads");
  }

  capnp::MallocMessageBuilder message_;
  schema::BrokerStatus::Builder status_ = message_.initRoot<schema::BrokerStatus>();
};

TEST_F(StatusReport, IsATable) {
  EXPECT_EQ(asTable(status_, kNow, always),
            "Broker 4711 in /run/user/1000/splicehost, for 12 min\n"
            "63 sessions so far, 92% found their libraries loaded, which saved 31 s of loading\n"
            "2 zygotes with 312M of memory, of 6026M at most\n"
            "\n"
            "  zygote  GHC    way       loaded                    memory  resident  shared  forks  spares     idle\n"
            "    4712  9.0.2  vanilla   nothing                      24M       40M     16M      5       2    5 min\n"
            "   47120  9.0.2  profiled  2 files up to lens-5.0.1    288M      300M     12M      0       0  growing\n"
            "\n"
            "  session  client  zygote    age  replayed  state\n"
            "     5000    4990   47120  0.5 s         3  waiting\n"
            "\n"
            "  not shared     GHC    way      why\n"
            "  libworkers.so  9.0.2  dynamic  it changes threads\n");
}

TEST_F(StatusReport, HasNoEmptyTables) {
  capnp::MallocMessageBuilder message;
  auto status = message.initRoot<schema::BrokerStatus>();
  status.setProcessId(1);
  status.setStarted(kNow);
  status.setDirectory("/f");
  EXPECT_EQ(asTable(status, kNow, always),
            "Broker 1 in /f, for 0.0 s\n"
            "no sessions so far\n"
            "0 zygotes with 0M of memory, of 0M at most\n");
}

TEST_F(StatusReport, IsJson) {
  EXPECT_EQ(asJson(status_, always),
            "{\"running\": true, \"processId\": 4711, \"started\": 1999280000000000, "
            "\"directory\": \"/run/user/1000/splicehost\", \"attaches\": 63, \"hits\": 58, "
            "\"savedNanoseconds\": 31000000000, \"memoryUsed\": 327155712, "
            "\"memoryLimit\": 6318718976, "
            "\"zygotes\": [{\"processId\": 4712, \"ghcVersion\": \"9.0.2\", \"way\": \"vanilla\", "
            "\"files\": [], \"proportionalBytes\": 25165824, \"residentBytes\": 41943040, "
            "\"sharedBytes\": 16777216, \"forks\": 5, \"spares\": 2, \"symbols\": 0, "
            "\"lastUsed\": 1999700000000000, \"growing\": false}, "
            "{\"processId\": 47120, \"ghcVersion\": \"9.0.2\", \"way\": \"profiled\", "
            "\"files\": [\"/usr/lib/ghc/base-4.15.1.0/HSbase-4.15.1.0.o\", "
            "\"/x/libHSlens-5.0.1-AoCTUgbk72lLKSz1I2VTsj_p.a\"], \"proportionalBytes\": 301989888, "
            "\"residentBytes\": 314572800, \"sharedBytes\": 12582912, \"forks\": 0, \"spares\": 0, "
            "\"symbols\": 7, \"lastUsed\": 1999998000000000, \"growing\": true}], "
            "\"sessions\": [{\"processId\": 5000, \"clientProcessId\": 4990, "
            "\"zygoteProcessId\": 47120, \"started\": 1999999500000000, \"replayed\": 3, "
            "\"state\": \"waiting\"}], "
            "\"unshared\": [{\"file\": \"/x/libworkers.so\", \"ghcVersion\": \"9.0.2\", \"way\": \"dynamic\", "
            "\"why\": \"it changes threads\"}], \"others\": []}");
  EXPECT_EQ(noBrokerAsJson(), "{\"running\": false}");
}

TEST_F(StatusReport, IsShort) {
  EXPECT_EQ(zygotesInShort(status_), "2 zygotes: profiled with 2 files up to lens-5.0.1, vanilla with nothing\n");
  capnp::MallocMessageBuilder message;
  auto status = message.initRoot<schema::BrokerStatus>();
  EXPECT_EQ(zygotesInShort(status), "0 zygotes\n");
  status.initZygotes(6)[4].setLastUsed(1);
  status.getZygotes()[4].setWay(schema::Way::DYNAMIC);
  EXPECT_EQ(zygotesInShort(status),
            "6 zygotes: dynamic with nothing, vanilla with nothing, vanilla with nothing, "
            "vanilla with nothing, and 2 more\n");
}

TEST(Duration, IsAsPeopleSayIt) {
  EXPECT_EQ(duration(-5), "0.0 s");
  EXPECT_EQ(duration(kSecond / 4), "0.2 s");
  EXPECT_EQ(duration(9 * kSecond + kSecond * 9 / 10), "9.9 s");
  EXPECT_EQ(duration(10 * kSecond), "10 s");
  EXPECT_EQ(duration(119 * kSecond), "119 s");
  EXPECT_EQ(duration(120 * kSecond), "2 min");
  EXPECT_EQ(duration(7199 * kSecond), "119 min");
  EXPECT_EQ(duration(7200 * kSecond), "2 h");
  EXPECT_EQ(duration(172800 * kSecond), "2 days");
}

TEST(LibraryName, IsThePackageIfThereIsOne) {
  EXPECT_EQ(libraryName("/a/libHSlens-5.0.1-AoCTUgbk72lLKSz1I2VTsj.a"), "lens-5.0.1");
  EXPECT_EQ(libraryName("/a/libHSlens-5.0.1-AoCTUgbk72lLKSz1I2VTsj_p.a"), "lens-5.0.1");
  EXPECT_EQ(libraryName("/a/libHSlens-5.0.1-AoCTUgbk72lLKSz1I2VTsj-ghc9.0.2.so"), "lens-5.0.1");
  EXPECT_EQ(libraryName("/a/HSbase-4.15.1.0.o"), "base-4.15.1.0");
  EXPECT_EQ(libraryName("/a/HSbase-4.15.1.0.p_o"), "base-4.15.1.0");
  EXPECT_EQ(libraryName("libHSth-abstraction-0.4.5.0-x.a"), "th-abstraction-0.4.5.0");
  EXPECT_EQ(libraryName("/a/libHSghc-boot-th-9.0.2.a"), "ghc-boot-th-9.0.2");
}

TEST(LibraryName, IsTheFilesOtherwise) {
  for (const char* name : {"libc.so.6", "Main.o", "libHS.a", "libHSodd.a", "libHSodd-.a", "", "a-1"}) {
    EXPECT_EQ(libraryName(std::string("/some/where/") + name), name);
    EXPECT_EQ(libraryName(name), name);
  }
}

}  // namespace
}  // namespace splicehost::ctl
