#include "iserv/remote/lookup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

namespace splicehost::remote {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr std::chrono::milliseconds kPatience{20'000};

TEST(LookUp, KnowsAddresses) {
  auto found = lookUp("127.0.0.2", "80", kPatience, nullptr);
  ASSERT_TRUE(found) << found.error().message;
  ASSERT_THAT(*found, SizeIs(1));
  auto& address = reinterpret_cast<const sockaddr_in&>((*found)[0].address);
  EXPECT_EQ((*found)[0].size, sizeof address);
  EXPECT_EQ(address.sin_family, AF_INET);
  EXPECT_EQ(ntohl(address.sin_addr.s_addr), 0x7f000002u);
  EXPECT_EQ(ntohs(address.sin_port), 80);
}

// By /etc/hosts, and so by the process that looks names up.
TEST(LookUp, FindsNames) {
  auto found = lookUp("localhost", "80", kPatience, nullptr);
  ASSERT_TRUE(found) << found.error().message;
  ASSERT_GE(found->size(), 1u);
  int family = (*found)[0].address.ss_family;
  EXPECT_TRUE(family == AF_INET || family == AF_INET6) << family;
}

TEST(LookUp, SaysThatThereIsNoSuchName) {
  auto found = lookUp("no such name", "80", kPatience, nullptr);
  ASSERT_FALSE(found);
  EXPECT_THAT(found.error().message, HasSubstr("no such name: "));
}

TEST(LookUp, IsGivenUp) {
  Attention attention(nullptr);
  attention.cancel();
  EXPECT_FALSE(lookUp("localhost", "80", kPatience, &attention));
}

}  // namespace
}  // namespace splicehost::remote
