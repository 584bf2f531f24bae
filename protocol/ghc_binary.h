// GHC's wire encoding: the encoding of the Haskell `binary` package (0.8), as GHC and its external
// interpreter exchange it over two pipes.
//
// It has no framing: how long a message is, is known only by decoding it, and a read from the pipe may end anywhere. A
// Reader therefore works over what has arrived so far and has three outcomes: it could read everything, it needs more
// bytes, or the bytes are wrong. It keeps the first that is not success and answers all further reads with zeros. So a
// decoder can read a whole structure and look at the outcome once.
//
// Facts (binary-0.8.8.0, Data/Binary/Class.hs and Data/Binary/Generic.hs): Int, Int64, Word and Word64 are 8 bytes,
// most significant first. Bool and the constructor of a sum type with at most 256 constructors are one byte. A list is
// its length as an Int and its elements. A ByteString is its length and its bytes. A Char is in UTF-8, surrogates
// included.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/result.h"

namespace splicehost::ghc {

using Bytes = std::span<const std::byte>;

class Reader {
 public:
  // Reads from `bytes`, which must outlive the reader and everything that it returns. `limit` is the
  // largest size in bytes that a message can have; anything that must be longer is malformed.
  Reader(Bytes bytes, uint64_t limit) : bytes_(bytes), limit_(limit) {}

  uint8_t byte();
  bool boolean();
  uint64_t word();
  int64_t integer() { return static_cast<int64_t>(word()); }

  // A constructor number of a sum type with `count` constructors; `what` names the type in errors.
  uint8_t constructor(uint8_t count, const char* what);

  // The length of a list whose elements take at least `minimumSize` bytes each. All of these bytes have
  // arrived, or the result is 0: nothing has to be allocated for a length that is a lie.
  uint32_t listLength(uint64_t minimumSize);

  // A String: its encoded characters.
  std::string string();
  // A ByteString, strict or lazy, in place.
  Bytes byteString();

  // Records that the bytes are wrong, at the present offset.
  void fail(std::string message);

  bool ok() const { return state_ == State::kOk; }
  // More than zero: this many further bytes are needed, at the least.
  uint64_t missing() const { return state_ == State::kNeedMore ? missing_ : 0; }
  bool malformed() const { return state_ == State::kMalformed; }
  // What is wrong, and at which offset of the message. Only if malformed().
  const Error& error() const { return error_; }

  // How many bytes have been read.
  size_t offset() const { return offset_; }

 private:
  enum class State { kOk, kNeedMore, kMalformed };
  // True if `count` bytes are there.
  bool have(uint64_t count);

  Bytes bytes_;
  uint64_t limit_;
  size_t offset_ = 0;
  State state_ = State::kOk;
  uint64_t missing_ = 0;
  Error error_;
};

class Writer {
 public:
  void byte(uint8_t value) { bytes_.push_back(std::byte{value}); }
  void boolean(bool value) { byte(value ? 1 : 0); }
  void word(uint64_t value);
  void integer(int64_t value) { word(static_cast<uint64_t>(value)); }
  // A String, from its encoded characters. A byte that belongs to none, as of a file's name in a system's message,
  // becomes the character that fileName() undoes. GHC could not tell where the string ends otherwise.
  void string(std::string_view characters);
  void byteString(Bytes bytes);
  // Bytes as they are.
  void raw(Bytes bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }

  Bytes bytes() const { return bytes_; }
  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

// A file name as the file system has it, from a Haskell string: a character U+DC80 to U+DCFF stands for
// the byte that GHC could not decode (GHC.IO.Encoding.Failure, RoundtripFailure).
std::string fileName(std::string_view haskellString);
// The other way: what GHC makes of a file's name where its locale is one of UTF-8.
std::string haskellString(std::string_view fileName);

}  // namespace splicehost::ghc
