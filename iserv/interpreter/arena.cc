#include "iserv/interpreter/arena.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "protocol/interpreter.capnp.h"
#include "protocol/system.h"

namespace splicehost {

void reserveArena() {
  mmap(reinterpret_cast<void*>(schema::ARENA_ADDRESS), schema::ARENA_SIZE, PROT_NONE,
       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
}

Status placeInArena(uint64_t address, ghc::Bytes bytes) {
  uint64_t offset = address - schema::ARENA_ADDRESS;
  if (address < schema::ARENA_ADDRESS || offset > schema::ARENA_SIZE || bytes.size() > schema::ARENA_SIZE - offset) {
    return Error{std::to_string(bytes.size()) + " bytes at address " + std::to_string(address) +
                 " do not lie in the arena"};
  }
  if (bytes.empty()) return Done{};
  uint64_t page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  uint64_t begin = address / page * page;
  if (mprotect(reinterpret_cast<void*>(begin), address + bytes.size() - begin, PROT_READ | PROT_WRITE) != 0) {
    return systemError("the arena");
  }
  std::memcpy(reinterpret_cast<void*>(address), bytes.data(), bytes.size());
  return Done{};
}

}  // namespace splicehost
