// Gives arbitrary bytes to the archive reader. Beyond what the sanitizers see, whatever it returns
// has to lie in the input.
#include <cstdint>
#include <cstdlib>
#include <span>

#include "linker/archive.h"

namespace {

using namespace splicehost;
using namespace splicehost::linker;

void requireInside(std::span<const std::byte> file, const void* start, size_t size) {
  if (size == 0) return;
  const auto* first = static_cast<const std::byte*>(start);
  if (first < file.data() || first + size > file.data() + file.size()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto file = std::as_bytes(std::span(data, size));
  if (Result<std::vector<ArchiveMember>> members = readArchive(file); members) {
    for (const ArchiveMember& member : *members) {
      requireInside(file, member.name.data(), member.name.size());
      requireInside(file, member.data.data(), member.data.size());
    }
  }
  return 0;
}
