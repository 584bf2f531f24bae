#include "iserv/interpreter/arena.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <string_view>

#include "protocol/interpreter.capnp.h"
#include "tests/iserv/in_child.h"

namespace splicehost {
namespace {

using testing::inChild;

constexpr uint64_t kStart = schema::ARENA_ADDRESS, kSize = schema::ARENA_SIZE;

// Nothing if it could be placed.
std::string place(uint64_t address, std::string_view text) {
  Status placed = placeInArena(address, {reinterpret_cast<const std::byte*>(text.data()), text.size()});
  return placed ? "" : placed.error().message;
}

std::string at(uint64_t address, size_t size) { return {reinterpret_cast<const char*>(address), size}; }

TEST(Arena, HasWhatWasPlacedThere) {
  EXPECT_EQ(inChild([] {
              reserveArena();
              auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
              std::string failed = place(kStart, "first") + place(kStart + page - 3, "across pages") +
                                   place(kStart + kSize - 4, "last") + place(kStart + 5, ", then");
              return failed + at(kStart, 11) + "; " + at(kStart + page - 3, 12) + "; " + at(kStart + kSize - 4, 4);
            }),
            "first, then; across pages; last");
}

TEST(Arena, RefusesWhatDoesNotLieInIt) {
  std::string address = std::to_string(kStart + kSize - 4);
  EXPECT_EQ(inChild([] {
              reserveArena();
              return place(kStart + kSize - 4, "longer");
            }),
            "6 bytes at address " + address + " do not lie in the arena");
  for (uint64_t outside : {uint64_t{0}, kStart - 1, kStart + kSize + 1, ~uint64_t{0}}) {
    EXPECT_NE(inChild([outside] { return place(outside, "x"); }).find("do not lie in the arena"), std::string::npos);
  }
}

TEST(Arena, TakesNothingAtItsEnd) {
  EXPECT_EQ(inChild([] {
              reserveArena();
              return place(kStart, "") + place(kStart + kSize, "");
            }),
            "");
}

// Something else may have the addresses.
TEST(Arena, SaysThatItIsNotThere) {
  EXPECT_EQ(inChild([] { return place(kStart, "x"); }), "the arena: Cannot allocate memory");
}

}  // namespace
}  // namespace splicehost
