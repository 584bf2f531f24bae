#include "iserv/ctl/json.h"

#include <gtest/gtest.h>

namespace splicehost::ctl {
namespace {

TEST(Json, EscapesWhatMustBe) {
  EXPECT_EQ(jsonString(""), "\"\"");
  EXPECT_EQ(jsonString("a\"b\\c/d"), "\"a\\\"b\\\\c/d\"");
  EXPECT_EQ(jsonString("tab\tline\n"), "\"tab\\u0009line\\u000a\"");
  EXPECT_EQ(jsonString(std::string_view("\0", 1)), "\"\\u0000\"");
}

TEST(Json, KeepsUtf8) {
  for (const char* text : {"é", "‘quoted’", "𝔘", "\x7f", "\xef\xbf\xbf"}) {
    EXPECT_EQ(jsonString(text), std::string("\"") + text + "\"");
  }
}

TEST(Json, ReplacesWhatIsNotUtf8) {
  EXPECT_EQ(jsonString("a\xff"
                       "b"),
            "\"a\\ufffdb\"");
  EXPECT_EQ(jsonString("\xc3"), "\"\\ufffd\"");
  EXPECT_EQ(jsonString("\xc3("), "\"\\ufffd(\"");
  // Too long, half a pair, out of range, cut off.
  EXPECT_EQ(jsonString("\xc0\x80"), "\"\\ufffd\\ufffd\"");
  EXPECT_EQ(jsonString("\xed\xa0\x80"), "\"\\ufffd\\ufffd\\ufffd\"");
  EXPECT_EQ(jsonString("\xf4\x90\x80\x80"), "\"\\ufffd\\ufffd\\ufffd\\ufffd\"");
  EXPECT_EQ(jsonString("\xe2\x80"), "\"\\ufffd\\ufffd\"");
}

TEST(Json, JoinsValues) {
  EXPECT_EQ(jsonArray({}), "[]");
  EXPECT_EQ(jsonArray({"1", "2"}), "[1, 2]");
  EXPECT_EQ(jsonObject({}), "{}");
  EXPECT_EQ(jsonObject({{"a", jsonBool(true)}, {"b", jsonString("x")}}), "{\"a\": true, \"b\": \"x\"}");
}

}  // namespace
}  // namespace splicehost::ctl
