#include "iserv/front_end/placed_data.h"

#include <span>
#include <utility>

namespace splicehost {

namespace {

// What malloc() would keep to.
constexpr uint64_t kAlignment = 16;
constexpr uint64_t kArenaEnd = schema::ARENA_ADDRESS + schema::ARENA_SIZE;

std::string_view view(capnp::Data::Reader data) { return {data.asChars().begin(), data.size()}; }

}  // namespace

bool PlacedData::answer(schema::Request::Reader request, schema::Reply::Builder reply) {
  // Another front end has chosen the address.
  if (request.isPlaceData()) {
    auto placed = request.getPlaceData();
    if (placed.getAddress() < nextAddress_ || placed.getAddress() > kArenaEnd ||
        placed.getData().size() > kArenaEnd - placed.getAddress()) {
      return false;
    }
    pieces_.push_back({placed.getAddress(), std::string(view(placed.getData()))});
    nextAddress_ = placed.getAddress() + placed.getData().size();
    reply.setDone();
    return true;
  }
  // A session that goes on for so long has memory of its own.
  constexpr uint64_t kRoom = uint64_t{16} << 20;
  if (nextAddress_ + request.totalSize().wordCount * sizeof(capnp::word) + kRoom > kArenaEnd) {
    return false;
  }
  if (request.isMallocData()) {
    reply.setPointer(place(view(request.getMallocData()), false));
    return true;
  }
  if (request.isMallocStrings()) {
    auto strings = request.getMallocStrings();
    auto pointers = reply.initPointers(strings.size());
    for (uint32_t i = 0; i < strings.size(); ++i) pointers.set(i, place(view(strings[i]), true));
    return true;
  }
  return false;
}

uint64_t PlacedData::place(std::string_view bytes, bool terminated) {
  uint64_t address = nextAddress_;
  pieces_.push_back({address, std::string(bytes)});
  // The arena is all zeros.
  uint64_t size = bytes.size() + (terminated ? 1 : 0);
  nextAddress_ += (size + kAlignment - 1) / kAlignment * kAlignment;
  return address;
}

bool PlacedData::fill(schema::Request::Builder request, bool everything) {
  auto pieces = std::span(pieces_).subspan(everything ? 0 : std::exchange(filled_, pieces_.size()));
  if (pieces.empty()) return false;
  // Bytes that lie together travel together.
  uint64_t begin = pieces.front().address;
  auto place = request.initPlaceData();
  place.setAddress(begin);
  auto all = place.initData(static_cast<uint32_t>(nextAddress_ - begin)).asChars();
  for (const Piece& piece : pieces) {
    std::copy(piece.bytes.begin(), piece.bytes.end(), all.begin() + (piece.address - begin));
  }
  return true;
}

}  // namespace splicehost
