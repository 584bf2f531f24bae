#include "iserv/front_end/placed_data.h"

#include <gtest/gtest.h>

#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "protocol/text.h"

namespace splicehost {
namespace {

constexpr uint64_t kEnd = schema::ARENA_ADDRESS + schema::ARENA_SIZE;

class PlacedDataTest : public testing::Test {
 protected:
  // An interpreter's memory, from an address on.
  struct Memory {
    uint64_t address;
    std::string bytes;

    std::string at(uint64_t place, size_t size) const { return bytes.substr(place - address, size); }
  };

  bool answer(capnp::MessageBuilder& request, capnp::MessageBuilder& reply) {
    return placed_.answer(request.getRoot<schema::Request>().asReader(), reply.initRoot<schema::Reply>());
  }

  // The address of bytes that GHC wants to be in memory; 0 if there is no answer.
  uint64_t place(std::string_view bytes) {
    capnp::MallocMessageBuilder request, reply;
    request.initRoot<schema::Request>().setMallocData(toData(bytes));
    return answer(request, reply) ? reply.getRoot<schema::Reply>().getPointer() : 0;
  }

  std::vector<uint64_t> placeStrings(const std::vector<std::string>& strings) {
    capnp::MallocMessageBuilder request, reply;
    auto list = request.initRoot<schema::Request>().initMallocStrings(static_cast<uint32_t>(strings.size()));
    for (uint32_t i = 0; i < list.size(); ++i) list.set(i, toData(strings[i]));
    if (!answer(request, reply)) return {};
    std::vector<uint64_t> addresses;
    for (uint64_t address : reply.getRoot<schema::Reply>().getPointers()) addresses.push_back(address);
    return addresses;
  }

  // As a front end on another machine, which has chosen the address.
  bool placeAt(uint64_t address, std::string_view bytes) {
    capnp::MallocMessageBuilder request, reply;
    auto data = request.initRoot<schema::Request>().initPlaceData();
    data.setAddress(address);
    data.setData(toData(bytes));
    return answer(request, reply);
  }

  std::optional<Memory> fill(bool everything) {
    capnp::MallocMessageBuilder message;
    auto request = message.initRoot<schema::Request>();
    if (!placed_.fill(request, everything)) return std::nullopt;
    auto data = request.getPlaceData().asReader();
    return Memory{data.getAddress(), toString(data.getData())};
  }

  PlacedData placed_;
};

TEST_F(PlacedDataTest, GivesAddressesThatAnInterpretersMemoryThenHas) {
  uint64_t data = place("twelve bytes");
  std::vector<uint64_t> strings = placeStrings({"", "sixteen bytes...", "three"});
  ASSERT_EQ(strings.size(), 3u);
  std::optional<Memory> memory = fill(false);
  ASSERT_TRUE(memory);
  EXPECT_EQ(memory->at(data, 12), "twelve bytes");
  // Strings end, whatever is behind them.
  EXPECT_EQ(memory->at(strings[0], 1), std::string(1, '\0'));
  EXPECT_EQ(memory->at(strings[1], 17), std::string("sixteen bytes...") + '\0');
  EXPECT_EQ(memory->at(strings[2], 6), std::string("three") + '\0');
}

// Byte code and C code may have literals of any type there.
TEST_F(PlacedDataTest, AlignsAsMallocDoes) {
  for (std::string_view bytes : {"a", "seventeen bytes..", "b"}) EXPECT_EQ(place(bytes) % 16, 0u) << bytes;
}

TEST_F(PlacedDataTest, FillsWhatIsNewOrEverything) {
  EXPECT_FALSE(fill(true));
  uint64_t first = place("first");
  EXPECT_EQ(fill(false)->at(first, 5), "first");
  EXPECT_FALSE(fill(false));

  uint64_t second = place("second");
  EXPECT_EQ(fill(false)->address, second);
  // An interpreter that knows nothing yet.
  std::optional<Memory> memory = fill(true);
  ASSERT_TRUE(memory);
  EXPECT_EQ(memory->at(first, 5), "first");
  EXPECT_EQ(memory->at(second, 6), "second");
}

TEST_F(PlacedDataTest, KeepsToTheAddressesOfAnotherFrontEnd) {
  ASSERT_TRUE(placeAt(schema::ARENA_ADDRESS + 64, "there"));
  EXPECT_EQ(fill(true)->at(schema::ARENA_ADDRESS + 64, 5), "there");
  EXPECT_FALSE(placeAt(schema::ARENA_ADDRESS + 68, "upon it"));
}

TEST_F(PlacedDataTest, RefusesWhatIsNotInTheArena) {
  constexpr uint64_t kLast = std::numeric_limits<uint64_t>::max();
  for (uint64_t address : {uint64_t{0}, schema::ARENA_ADDRESS - 1, kEnd - 1, kEnd + 1, kLast - 1, kLast}) {
    EXPECT_FALSE(placeAt(address, "four")) << address;
  }
  EXPECT_FALSE(fill(true));
}

TEST_F(PlacedDataTest, LeavesTheRestToTheInterpreterWhenTheArenaIsFull) {
  ASSERT_TRUE(placeAt(kEnd - 16, "near its end"));
  EXPECT_EQ(place("more"), 0u);
  EXPECT_TRUE(placeStrings({"more"}).empty());
}

TEST_F(PlacedDataTest, AnswersNothingElse) {
  capnp::MallocMessageBuilder request, reply;
  request.initRoot<schema::Request>().setInitLinker();
  EXPECT_FALSE(answer(request, reply));
}

}  // namespace
}  // namespace splicehost
