// Gives arbitrary bytes to the check of ELF objects, for both machines. An object that passes has
// to have symbols and sections that can be read.
#include <cstdint>
#include <cstdlib>
#include <span>

#include "linker/elf_object.h"

namespace {

using namespace splicehost;
using namespace splicehost::linker;

// Written to so that reading is not optimised away.
volatile size_t bytesRead;

void readAll(const ElfObject& object) {
  for (size_t i = 0; i < object.symbolCount(); ++i) {
    if (!object.symbol(i)) std::abort();
  }
  size_t sum = 0;
  for (uint32_t i = 0; i < object.sectionCount(); ++i) {
    sum += object.sectionName(i).size();
    for (const std::byte byte : object.sectionContent(i)) sum += static_cast<size_t>(byte);
  }
  bytesRead = sum;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto file = std::as_bytes(std::span(data, size));
  for (const Machine machine : {Machine::kX86_64, Machine::kAArch64}) {
    Result<ElfObject> object = ElfObject::open(file, machine);
    if (object && object->checkContents()) readAll(*object);
  }
  return 0;
}
