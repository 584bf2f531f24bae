#include "iserv/base/file_signature.h"

#include <capnp/message.h>
#include <gtest/gtest.h>

namespace splicehost {
namespace {

TEST(FileSignature, IsWhatWasWritten) {
  linker::FileSignature signature{1, 2, 3, -4, 5, ~uint64_t{0}};
  capnp::MallocMessageBuilder message;
  auto builder = message.initRoot<schema::FileSignature>();
  writeSignature(signature, builder);
  EXPECT_EQ(readSignature(builder), signature);
}

// That of what is not there.
TEST(FileSignature, IsZerosIfNothingWasWritten) {
  capnp::MallocMessageBuilder message;
  EXPECT_EQ(readSignature(message.initRoot<schema::FileSignature>()), linker::FileSignature{});
}

}  // namespace
}  // namespace splicehost
