// Messages that are good, as far as the schema goes, and bad beyond that: whoever copies a part of one must not be
// surprised.

#include "protocol/message_check.h"

#include <capnp/any.h>
#include <capnp/serialize.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>

#include "protocol/broker.capnp.h"
#include "protocol/interpreter.capnp.h"
#include "protocol/remote.capnp.h"

namespace splicehost {
namespace {

using Words = kj::Array<capnp::word>;

Words flat(capnp::MessageBuilder& message) { return capnp::messageToFlatArray(message); }

uint64_t& at(Words& words, size_t position) { return reinterpret_cast<uint64_t*>(words.begin())[position]; }

// Pointers, as the encoding has them: a struct that is not in the message, something that is no pointer, an interface.
constexpr uint64_t kNowhere = (uint64_t{0x10001} << 32) | (0x3fff << 2);
constexpr uint64_t kNonsense = 0x12345677;
constexpr uint64_t kCapability = 3;

std::string complaint(const Words& words) {
  Status good = checkMessage(words, capnp::Schema::from<schema::ToBroker>());
  return good ? "" : good.error().message;
}

// Identifies "/file", as a sender would whose schema has two more pointers. Their positions are 4 and 5, after the
// table of segments, the root, one word of numbers, and the path.
Words messageWithUnknownPointers() {
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<capnp::AnyPointer>().initAsAnyStruct(1, 3);
  *reinterpret_cast<uint16_t*>(root.getDataSection().begin()) = schema::ToBroker::IDENTIFY;
  root.getPointerSection()[0].setAs<capnp::Data>(kj::StringPtr("/file").asBytes());
  return flat(message);
}

TEST(MessageCheck, AcceptsWhatTheSchemaDoesNotKnow) {
  Words words = messageWithUnknownPointers();
  EXPECT_EQ(complaint(words), "");
}

TEST(MessageCheck, FollowsPointersThatTheSchemaDoesNotKnow) {
  for (uint64_t bad : {kNowhere, kNonsense, kCapability}) {
    Words words = messageWithUnknownPointers();
    at(words, 5) = bad;
    EXPECT_NE(complaint(words).find("malformed"), std::string::npos) << std::hex << bad;
  }
}

// A status has no content, so the path's pointer is one that nobody reads.
TEST(MessageCheck, FollowsPointersOfMembersThatAreNotInUse) {
  Words words = messageWithUnknownPointers();
  at(words, 2) = schema::ToBroker::STATUS;
  EXPECT_EQ(complaint(words), "");
  at(words, 3) = kNowhere;
  EXPECT_NE(complaint(words).find("malformed"), std::string::npos);
}

// A list of numbers may come as one of structs, which can have pointers.
TEST(MessageCheck, FollowsPointersInElementsThatAreLargerThanTheyShouldBe) {
  capnp::MallocMessageBuilder message;
  auto node = message.initRoot<schema::Trie>().initNodes(1)[0];
  auto structs = capnp::toAny(node).getPointerSection()[3].initAsListOfAnyStruct(1, 1, 1);
  structs[0].getPointerSection()[0].setAs<capnp::Text>("content");
  Words words = flat(message);
  auto check = [&] { return checkMessage(words, capnp::Schema::from<schema::Trie>()); };
  ASSERT_TRUE(check());
  size_t pointer = words.size() - 2;  // before the text, which takes a word
  ASSERT_NE(at(words, pointer), 0u);
  at(words, pointer) = kNowhere;
  EXPECT_FALSE(check());
}

// What a receiver does with a message: copies it into another one, or makes a key of it.
template <typename Root>
void use(const Words& words) {
  capnp::FlatArrayMessageReader reader(words, kCheckedMessage);
  auto root = reader.getRoot<Root>();
  capnp::MallocMessageBuilder copy;
  copy.setRoot(root);
  capnp::canonicalize(root);
  kj::str(root);
}

// Changes a good message at random, mostly where its pointers are, and uses it if that is not noticed.
template <typename Root>
void mutate(capnp::MessageBuilder& message, unsigned seed) {
  Words good = flat(message);
  std::mt19937 random(seed);
  int passed = 0;
  for (int round = 0; round < 20'000; ++round) {
    // Word by word is what clang does not let a library do.
    Words words = kj::heapArray<capnp::word>(good.size());
    std::memcpy(words.begin(), good.begin(), good.asBytes().size());
    for (unsigned changes = 1 + random() % 3; changes > 0; --changes) {
      uint64_t& word = at(words, random() % words.size());
      switch (random() % 4) {
        case 0:
          word ^= uint64_t{1} << (random() % 64);
          break;
        case 1:
          word = at(words, random() % words.size());
          break;
        case 2:
          word = random() % 2 == 0 ? kNowhere : kCapability;
          break;
        case 3:
          // A pointer to somewhere near, with sizes that are possible.
          word = (uint64_t{random() % 64} << 32) | ((random() % 16) << 2) | random() % 4;
          break;
      }
    }
    if (!checkMessage(words, capnp::Schema::from<Root>())) continue;
    ++passed;
    ASSERT_NO_THROW(use<Root>(words)) << "seed " << seed << ", round " << round;
  }
  EXPECT_GT(passed, 100);
}

TEST(MessageCheck, LeavesNothingThatACopyWouldStumbleOver) {
  capnp::MallocMessageBuilder hello;
  auto client = hello.initRoot<schema::ToBroker>().initHello();
  client.initInterpreter().initEnvironment(3);
  client.getInterpreter().setGhcVersion("9.0.2");
  mutate<schema::ToBroker>(hello, 1);

  capnp::MallocMessageBuilder attach;
  auto order = attach.initRoot<schema::ToBroker>().initAttach();
  order.initFiles(2).set(0, kj::StringPtr("/file").asBytes());
  order.initLimits(2);
  order.initView().setRoot(kj::StringPtr("/root").asBytes());
  mutate<schema::ToBroker>(attach, 2);

  capnp::MallocMessageBuilder front;
  auto target = front.initRoot<schema::ToTarget>().initHello();
  target.initCode().setGhcVersion("9.0.2");
  target.initVariables(2);
  target.initFiles().initTree().setName(kj::StringPtr("tree").asBytes());
  mutate<schema::ToTarget>(front, 3);
}

}  // namespace
}  // namespace splicehost
