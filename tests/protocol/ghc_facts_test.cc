// What GHCs say of their messages (recorded/VERSION/facts, printed by ways/facts), against what this code knows.

#include "tests/protocol/ghc_facts.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "protocol/ghc_messages.h"
#include "tests/protocol/recorded.h"

namespace splicehost::ghc {
namespace {

std::string textOf(const Version& version) {
  std::vector<std::byte> bytes = testing::readRecorded(version, "facts");
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class GhcFacts : public ::testing::TestWithParam<Version> {
 protected:
  void SetUp() override {
    auto facts = parseFacts(textOf(GetParam()));
    ASSERT_TRUE(facts) << facts.error().message;
    facts_ = *std::move(facts);
  }

  Facts facts_;
};

TEST_P(GhcFacts, AreAllKnown) {
  Wire wire = understand(facts_);
  EXPECT_EQ(wire.unknown, std::vector<std::string>());
  const Version& version = GetParam();
  EXPECT_TRUE(std::ranges::equal(wire.requests, version.requests));
  EXPECT_TRUE(std::ranges::equal(wire.questions, version.thMessages));
  EXPECT_EQ(wire.runTHDoneTag, version.runTHDoneTag);
  EXPECT_EQ(wire.addModFinalizerTag, version.addModFinalizerTag);
  EXPECT_EQ(wire.loadDllAnswer, version.loadDllAnswer);
  EXPECT_EQ(wire.breakLocation, version.breakLocation);
}

TEST_P(GhcFacts, SamplesAreReadAndWrittenAsByGhcsLibrary) {
  EXPECT_GT(facts_.samples.size(), 100u);
  EXPECT_EQ(misunderstood(facts_, GetParam()), std::vector<std::string>());
}

INSTANTIATE_TEST_SUITE_P(Versions, GhcFacts, ::testing::ValuesIn(versions().begin(), versions().end()),
                         [](const auto& info) {
                           std::string name(info.param.name);
                           std::ranges::replace(name, '.', '_');
                           return name;
                         });

TEST(GhcFacts, EncodingIsThatOfTheGenericInstance) {
  auto encoding = [](std::string_view type) {
    auto known = encodingOf(type);
    return known ? *known : "error: " + known.error().message;
  };
  EXPECT_EQ(encoding("Int"), "w");
  EXPECT_EQ(encoding("()"), "");
  EXPECT_EQ(encoding("(String,[RemoteRef])"), "s[w]");
  EXPECT_EQ(encoding("Maybe{Nothing|Just ByteString}"), "{|d}");
  // A type with one constructor has no tag.
  EXPECT_EQ(encoding("Loc{Loc String (Int,Int)}"), "sww");
  EXPECT_EQ(encoding("Bool{False|True}"), "{|}");
  EXPECT_EQ(encoding("EvalExpr{EvalThis RemoteRef|EvalApp EvalExpr EvalExpr}"), "{w|@EvalExpr@EvalExpr}");
  EXPECT_EQ(encoding("TyCon"), "error: the type TyCon has TyCon, whose encoding is not known");
  for (std::string_view cut : {"[Int", "(Int", "Maybe{Nothing|Just", "Maybe{Nothing", "", "Maybe{"}) {
    EXPECT_FALSE(encodingOf(cut)) << cut;
  }
  EXPECT_FALSE(encodingOf("Int Int"));
}

TEST(GhcFacts, WhatIsNotKnownIsNamedWithItsType) {
  auto unknown = [](std::string_view text) {
    auto facts = parseFacts(text);
    EXPECT_TRUE(facts) << facts.error().message;
    return understand(*facts).unknown;
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(unknown("message 0 Shutdown () ()\nmessage 1 InitLinker () ()\n"), Names());
  EXPECT_EQ(unknown("message 0 Sing (String) Maybe{Nothing|Just Int}\n"),
            Names{"message 0, Sing, with the fields (String), answered by Maybe{Nothing|Just Int}"});
  EXPECT_EQ(unknown("message 0 LoadObj (String,Bool{False|True}) ()\n"),
            Names{"message 0, LoadObj: it has the fields (String,Bool{False|True})"});
  EXPECT_EQ(unknown("message 0 LoadDLL (String) String\n"), Names{"message 0, LoadDLL: it is answered by String"});
  EXPECT_EQ(unknown("message 0 Seq (TyCon) ()\n"),
            Names{"message 0, Seq: the type (TyCon) has TyCon, whose encoding is not known"});
  EXPECT_EQ(unknown("message 1 Shutdown () ()\n"), Names{"tags are not in order: message 1, Shutdown"});
}

TEST(GhcFacts, ASampleThatIsReadOtherwiseIsNamed) {
  auto facts = parseFacts("sample message 1 0100\nsample answer 2 0\nsample message 99 63\n");
  EXPECT_FALSE(facts);
  facts = parseFacts("sample message 1 0100\nsample message 1 01\nsample answer 2 02\nsample message 99 63\n");
  ASSERT_TRUE(facts) << facts.error().message;
  auto all = misunderstood(*facts, *findVersion("9.0.2"));
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0], "a message with tag 1: 0100 is not read to its end");
  EXPECT_EQ(all[1].substr(0, 49), "an answer to the message with tag 2: 02 offset 0:") << all[1];
  EXPECT_EQ(all[2], "a message with tag 99: 63 is not known");
}

TEST(GhcFacts, LinesThatAreNoFactsAreErrors) {
  for (std::string_view line :
       {"massage 0 Shutdown () ()", "message x Shutdown () ()", "message 0 Shutdown ()", "message 300 Shutdown () ()",
        "message 0 Shutdown () () ()", "question 1", "sample answer 3 0", "sample reply 3 00", "sample answer 3 0x"}) {
    auto facts = parseFacts("message 0 Shutdown () ()\n" + std::string(line) + "\n");
    ASSERT_FALSE(facts) << line;
    EXPECT_EQ(facts.error().message, "line 2 is not a fact: " + std::string(line));
  }
}

}  // namespace
}  // namespace splicehost::ghc
