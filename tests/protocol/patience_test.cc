#include "protocol/patience.h"

#include <gtest/gtest.h>
#include <poll.h>

#include "protocol/system.h"

namespace splicehost {
namespace {

TEST(PatienceTest, AnIdleMachineDelaysNothing) {
  auto load = parseProcessorLoad("0.32 0.13 0.04 1/240 4711\n", 2);
  ASSERT_TRUE(load);
  EXPECT_FALSE(load->isScarce());
  EXPECT_EQ(load->delay(), 1);
}

TEST(PatienceTest, ABuildDelaysNothing) {
  auto load = parseProcessorLoad("7.90 0.13 0.04 8/240 4711\n", 2);
  ASSERT_TRUE(load);
  EXPECT_TRUE(load->isScarce());
  EXPECT_EQ(load->delay(), 1);
}

TEST(PatienceTest, EachOfManyHasItsPartOfAProcessor) {
  auto load = parseProcessorLoad("1.50 0.13 0.04 48/240 4711\n", 2);
  ASSERT_TRUE(load);
  EXPECT_TRUE(load->isScarce());
  EXPECT_EQ(load->delay(), 6);
}

TEST(PatienceTest, ALoadThatPausesCounts) {
  auto load = parseProcessorLoad("64.00 0.13 0.04 1/240 4711\n", 2);
  ASSERT_TRUE(load);
  EXPECT_FALSE(load->isScarce());
  EXPECT_EQ(load->delay(), 8);
}

TEST(PatienceTest, NoWaitIsWithoutAnEnd) {
  auto load = parseProcessorLoad("100000.00 0.13 0.04 90000/99000 4711\n", 1);
  ASSERT_TRUE(load);
  EXPECT_EQ(load->delay(), 20);
}

TEST(PatienceTest, WhatTheKernelDoesNotWriteIsNotGuessedAt) {
  for (const char* text : {"", "\n", "0.32", "0.32 0.13 0.04", "load average: 0.3", "0.32 0.13 0.04 many/240 1"}) {
    EXPECT_FALSE(parseProcessorLoad(text, 2)) << text;
  }
}

TEST(PatienceTest, NoProcessorsAreTakenForOne) {
  auto load = parseProcessorLoad("0.32 0.13 0.04 12/240 4711", 0);
  ASSERT_TRUE(load);
  EXPECT_EQ(load->delay(), 3);
}

TEST(PatienceTest, AWaitComesToItsEnd) {
  Patience patience(20);
  uint64_t start = monotonicNanoseconds();
  EXPECT_EQ(patience.wait([](int left) { return poll(nullptr, 0, left); }), 0);
  EXPECT_GE(monotonicNanoseconds() - start, 20'000'000);
  EXPECT_TRUE(isOver(20 * 20, 20));
  EXPECT_FALSE(isOver(19, 20));
}

}  // namespace
}  // namespace splicehost
