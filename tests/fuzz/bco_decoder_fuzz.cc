// libFuzzer target: whatever GHC's end of the pipe sends as BCOs, decoding, verifying and listing
// it ends, with a result or an error. tests/bytecode/recorded/ serves as a corpus to start from.

#include <cstddef>
#include <cstdint>
#include <span>

#include "bytecode/disassemble.h"
#include "bytecode/verify.h"
#include "tests/bytecode/recorded.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace splicehost::bytecode;
  const Bytes input = std::as_bytes(std::span(data, size));
  const std::vector<Bytes> chunks = testing::splitMessage(input).value_or(std::vector<Bytes>{input});
  for (const BcoFormat& format : formats()) {
    const splicehost::Result<BcoSet> set = decodeBcos(chunks, format);
    if (!set.ok()) continue;
    static_cast<void>(verify(*set, format));
    static_cast<void>(disassemble(*set, format));
  }
  return 0;
}
