// What GHC wants to be put into memory. The addresses are chosen before there is an interpreter: those of the arena,
// which every interpreter reserves.
#pragma once

#include <capnp/message.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/interpreter.capnp.h"

namespace splicehost {

class PlacedData {
 public:
  // Answers a request that puts bytes into memory. False if it is none, or if the arena is full. A front end on another
  // machine names the address itself; that is kept, too.
  bool answer(schema::Request::Reader request, schema::Reply::Builder reply);

  // Makes the request that puts into an interpreter's memory what was answered since the last time, or
  // (`everything`) ever. False if that is nothing.
  bool fill(schema::Request::Builder request, bool everything);

 private:
  struct Piece {
    uint64_t address;
    std::string bytes;
  };
  uint64_t place(std::string_view bytes, bool terminated);

  std::vector<Piece> pieces_;
  size_t filled_ = 0;
  uint64_t nextAddress_ = schema::ARENA_ADDRESS;
};

}  // namespace splicehost
