#include "bytecode/bco.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <optional>
#include <utility>

#include "bytecode/format.h"

namespace splicehost::bytecode {
namespace {

// The least bytes that an encoded pointer and an encoded BCO take. They bound how many of them can
// follow, so that a count in the input is never believed beyond what the input can hold.
constexpr uint64_t kMinPointerBytes = 1 + 8;  // tag, value
constexpr uint64_t minBcoBytes(ArrayEncoding arrays) {
  const uint64_t arrayBytes = arrays == ArrayEncoding::kBounds ? 8 + 8 : 8;
  return 1 + 8 + 3 * arrayBytes + 8 + 8;  // byte order, arity, arrays, counts
}

constexpr uint64_t kMaxInputBytes = std::numeric_limits<uint32_t>::max();

// How many holders of a nested BCO its name spells out.
constexpr int kNamedHolders = 8;

// Decodes chunk after chunk into one set.
//
// Member functions that read return false when they have recorded an error; nothing is read after
// that.
class Decoder {
 public:
  explicit Decoder(const BcoFormat& format) : format_(format), minBcoBytes_(minBcoBytes(format.arrays)) {}

  Result<BcoSet> decode(std::span<const Bytes> chunks) {
    uint64_t total = 0;
    for (const Bytes& chunk : chunks) total += chunk.size();
    if (total > kMaxInputBytes) return Error{"more than 4 GiB of BCOs"};
    for (size_t i = 0; i < chunks.size(); ++i) {
      chunk_ = chunks[i];
      offset_ = 0;
      owed_ = 0;
      if (!readList()) {
        return error_->within("byte string " + std::to_string(i) + ", byte " + std::to_string(offset_));
      }
    }
    return std::move(set_);
  }

 private:
  // A BCO whose pointers are being read. They are encoded last first.
  struct OpenBco {
    Bco bco;
    uint32_t unreadPointers;
  };

  // What is left for the element being read. The elements that are announced and not begun will take the rest, at
  // least.
  uint64_t available() const { return chunk_.size() - offset_ - owed_; }

  bool fail(std::string message) {
    error_ = Error{std::move(message)};
    return false;
  }

  bool take(uint64_t size, Bytes& bytes) {
    if (size > available()) return fail("the encoding ends early");
    bytes = chunk_.subspan(offset_, size);
    offset_ += size;
    return true;
  }

  bool readByte(uint8_t& value) {
    Bytes bytes;
    if (!take(1, bytes)) return false;
    value = std::to_integer<uint8_t>(bytes[0]);
    return true;
  }

  // An Int, Word or Word64: `binary` writes each as 8 bytes, the most significant first.
  bool readWord(uint64_t& value) {
    Bytes bytes;
    if (!take(8, bytes)) return false;
    value = 0;
    for (std::byte byte : bytes) value = value << 8 | std::to_integer<uint64_t>(byte);
    return true;
  }

  // A number of elements that follow, each of at least elementBytes, which are now owed.
  bool readCount(uint64_t elementBytes, uint64_t& count) {
    if (!readWord(count)) return false;
    if (count > available() / elementBytes) {
      return fail("a list of " + std::to_string(count) + " elements does not fit in what follows");
    }
    owed_ += count * elementBytes;
    return true;
  }

  // The elements of an array, which are as they are in memory.
  bool readArray(const char* what, uint64_t elementBytes, Bytes& bytes) {
    uint64_t size = 0;
    switch (format_.arrays) {
      case ArrayEncoding::kBounds: {
        uint64_t lower = 0;
        uint64_t upper = 0;
        if (!readWord(lower) || !readWord(upper)) return false;
        if (lower != 0) return fail(std::string("the array of ") + what + " does not start at 0");
        const uint64_t count = upper + 1;  // an empty array's upper bound is -1
        if (count > available() / elementBytes) return doesNotFit(what);
        size = count * elementBytes;
        break;
      }
      case ArrayEncoding::kByteCount:
        if (!readWord(size)) return false;
        if (size % elementBytes != 0) {
          return fail("the array of " + std::string(what) + " has " + std::to_string(size) + " bytes, no multiple of " +
                      std::to_string(elementBytes));
        }
        if (size > available()) return doesNotFit(what);
        break;
    }
    return take(size, bytes);
  }

  bool doesNotFit(const char* what) {
    return fail(std::string("the array of ") + what + " does not fit in what follows");
  }

  bool readList() {
    uint64_t count = 0;
    if (!readCount(minBcoBytes_, count)) return false;
    for (uint64_t i = 0; i < count; ++i) {
      if (!readTopLevelBco()) {
        error_ = error_->within("BCO " + std::to_string(set_.topLevel.size()));
        return false;
      }
    }
    if (offset_ != chunk_.size()) {
      return fail(std::to_string(chunk_.size() - offset_) + " bytes follow the last BCO");
    }
    return true;
  }

  bool readTopLevelBco() {
    owed_ -= minBcoBytes_;
    if (!openBco()) return false;
    while (!open_.empty()) {
      if (open_.back().unreadPointers > 0) {
        if (!readPointer(open_.back())) return false;
      } else {
        closeBco();
      }
    }
    set_.topLevel.push_back(static_cast<uint32_t>(set_.bcos.size() - 1));
    return true;
  }

  // Reads a BCO up to its pointers, and makes it the innermost open one.
  bool openBco() {
    uint8_t mark = 0;
    uint64_t arity = 0;
    Bco bco{};
    if (!readByte(mark)) return false;
    if (mark > 1) return fail("neither True nor False where the byte order is told");
    const bool isLittleEndian = mark == format_.littleEndianMark;
    if (isLittleEndian != (std::endian::native == std::endian::little)) {
      return fail("the BCO is for the other byte order");
    }
    if (!readWord(arity)) return false;
    bco.arity = static_cast<int64_t>(arity);
    if (!readArray("instructions", sizeof(uint16_t), bco.instructions) ||
        !readArray("bitmap words", sizeof(uint64_t), bco.bitmap) ||
        !readArray("literals", sizeof(uint64_t), bco.literals)) {
      return false;
    }
    // A SizedSeq: the size, then a list, which has its length too.
    uint64_t size = 0;
    uint64_t count = 0;
    if (!readWord(size) || !readCount(kMinPointerBytes, count)) return false;
    if (size != count) {
      return fail("a sequence of " + std::to_string(size) + " pointers holds " + std::to_string(count));
    }
    bco.firstPointer = static_cast<uint32_t>(set_.pointers.size());
    bco.pointerCount = static_cast<uint32_t>(count);
    set_.pointers.resize(set_.pointers.size() + count);
    open_.push_back({bco, bco.pointerCount});
    return true;
  }

  // Adds the innermost open BCO to the set. If another one holds it, its pointer gets the index.
  void closeBco() {
    const uint32_t index = static_cast<uint32_t>(set_.bcos.size());
    set_.bcos.push_back(open_.back().bco);
    open_.pop_back();
    if (open_.empty()) return;
    const OpenBco& holder = open_.back();
    set_.pointers[holder.bco.firstPointer + holder.unreadPointers].value = index;
  }

  bool readPointer(OpenBco& holder) {
    owed_ -= kMinPointerBytes;
    uint8_t tag = 0;
    if (!readByte(tag)) return false;
    if (tag >= format_.pointerKinds.size()) {
      return fail("unknown kind of pointer " + std::to_string(tag));
    }
    --holder.unreadPointers;
    BcoPointer& pointer = set_.pointers[holder.bco.firstPointer + holder.unreadPointers];
    pointer.kind = format_.pointerKinds[tag];
    if (pointer.kind == BcoPointer::Kind::kNestedBco) return openBco();
    return readWord(pointer.value);
  }

  const BcoFormat& format_;
  const uint64_t minBcoBytes_;
  BcoSet set_;
  Bytes chunk_;
  uint64_t offset_ = 0;
  uint64_t owed_ = 0;  // see available()
  std::vector<OpenBco> open_;
  std::optional<Error> error_;
};

}  // namespace

Result<BcoSet> decodeBcos(std::span<const Bytes> chunks, const BcoFormat& format) {
  return Decoder(format).decode(chunks);
}

BcoNames::BcoNames(const BcoSet& set) : set_(set), holders_(set.bcos.size()) {
  for (uint32_t bco = 0; bco < set.bcos.size(); ++bco) {
    const std::span<const BcoPointer> pointers = set.pointersOf(set.bcos[bco]);
    for (uint32_t i = 0; i < pointers.size(); ++i) {
      if (pointers[i].kind == BcoPointer::Kind::kNestedBco) holders_[pointers[i].value] = {bco, i};
    }
  }
}

std::string BcoNames::of(uint32_t index) const {
  // Nested BCOs come before the top-level one that holds them and after the one before it.
  const auto top = std::lower_bound(set_.topLevel.begin(), set_.topLevel.end(), index);
  std::string path;
  for (int depth = 0; index != *top; ++depth) {
    if (depth == kNamedHolders) {
      path.insert(0, ", ...");
      break;
    }
    path.insert(0, ", pointer " + std::to_string(holders_[index].pointer));
    index = holders_[index].bco;
  }
  return "BCO " + std::to_string(top - set_.topLevel.begin()) + path;
}

}  // namespace splicehost::bytecode
