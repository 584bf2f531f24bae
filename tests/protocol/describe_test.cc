// What traces and error messages say about messages.

#include "protocol/describe.h"

#include <capnp/message.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "protocol/ghc_messages.h"
#include "tests/protocol/cases.h"
#include "tests/protocol/recorded.h"
#include "tests/protocol/wire.h"

namespace splicehost {
namespace {

using ghc::Bytes;

const ghc::Version& kGhc902 = *ghc::findVersion("9.0.2");

capnp::Data::Reader dataOf(Bytes bytes) { return {reinterpret_cast<const capnp::byte*>(bytes.data()), bytes.size()}; }

// A splice's questions as GHC's own library encodes them, by the names that GHC has for them.
std::map<std::string, std::vector<std::byte>> questions(const ghc::Version& version) {
  std::vector<std::byte> file = testing::readRecorded(version, "questions.bin");
  std::map<std::string, std::vector<std::byte>> result;
  ghc::Reader in(file, file.size());
  while (in.ok() && in.offset() < file.size()) {
    std::string name = in.string();
    Bytes question = in.byteString();
    result[name] = {question.begin(), question.end()};
  }
  return result;
}

std::string describeBuilt(const std::string& name, std::string (*text)(schema::Request::Reader)) {
  for (const auto& [version, each] : testing::ofAllVersions(testing::requestCases)) {
    if (name != each.name) continue;
    capnp::MallocMessageBuilder message;
    each.build(message.initRoot<schema::Request>());
    return text(message.getRoot<schema::Request>().asReader());
  }
  return "no such case";
}

TEST(ThMessageName, IsGhcsName) {
  for (const ghc::Version& version : ghc::versions()) {
    auto all = questions(version);
    EXPECT_EQ(all.size(), version.thMessages.size());
    for (const auto& [name, bytes] : all) EXPECT_EQ(thMessageName(version, dataOf(bytes)), name);
  }
}

TEST(ThMessageName, SaysWhatItDoesNotKnow) {
  EXPECT_EQ(thMessageName(kGhc902, dataOf(testing::wire("17"))), "(tag 23)");
  EXPECT_EQ(thMessageName(kGhc902, dataOf({})), "(empty)");
}

TEST(ThMessage, TagsWithAMeaning) {
  for (const ghc::Version& version : ghc::versions()) {
    auto all = questions(version);
    auto tag = [](uint8_t value) { return testing::hex(std::as_bytes(std::span(&value, 1))); };
    EXPECT_EQ(testing::hex(all["RunTHDone"]), tag(version.runTHDoneTag));
    EXPECT_EQ(testing::hex(all["AddModFinalizer"]), tag(version.addModFinalizerTag) + "1122334455667788");
  }
}

TEST(Subject, NamesWhatItIsAbout) {
  EXPECT_EQ(describeBuilt("loadDll", subject), "loadDll libm.so.6");
  EXPECT_EQ(describeBuilt("lookupSymbol", subject), "lookupSymbol base_GHCziBase_zzip_closure");
  EXPECT_EQ(describeBuilt("lookupSymbolInDll", subject), "lookupSymbolInDll x_closure");
  EXPECT_EQ(describeBuilt("runThExpression", subject), "splice at M.hs:3:4 (module M)");
  EXPECT_EQ(describeBuilt("runThAnnotation", subject), "annotation");
  EXPECT_EQ(describeBuilt("runThType", subject), "splice");
  EXPECT_EQ(describeBuilt("resolveObjs", subject), "resolveObjs");
}

TEST(Describe, IsOneLine) {
  std::string (*describeRequest)(schema::Request::Reader) = describe;
  EXPECT_EQ(describeBuilt("createBcos", describeRequest), "(createBcos = 3 items, 6 bytes)");
  EXPECT_EQ(describeBuilt("loadDll", describeRequest), "(loadDll = \"libm.so.6\")");
  for (const auto& [version, each] : testing::ofAllVersions(testing::requestCases)) {
    std::string line = describeBuilt(each.name, describeRequest);
    EXPECT_EQ(line.find('\n'), std::string::npos) << line;
    EXPECT_FALSE(line.empty()) << each.name;
  }
  for (const auto& [version, each] : testing::ofAllVersions(testing::replyCases)) {
    capnp::MallocMessageBuilder message;
    each.build(message.initRoot<schema::Reply>());
    std::string line = describe(message.getRoot<schema::Reply>().asReader());
    EXPECT_EQ(line.find('\n'), std::string::npos) << line;
  }
}

TEST(Describe, CutsWhatIsLong) {
  capnp::MallocMessageBuilder message;
  auto request = message.initRoot<schema::Request>();
  request.setLoadArchive(std::string(10'000, 'x'));
  std::string line = describe(request.asReader());
  EXPECT_LT(line.size(), 500u);
  EXPECT_TRUE(line.ends_with(" ...")) << line;
  request.initMallocData(100'000);
  EXPECT_EQ(describe(request.asReader()), "(mallocData = 1 items, 100000 bytes)");
}

}  // namespace
}  // namespace splicehost
