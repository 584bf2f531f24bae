// Lets another machine say arbitrary things, as front end and as target. The first byte of the input says whether
// frames follow as they are, or Cap'n Proto's words that are to be packed. Each message that is received has to be
// readable to the last pointer without an exception.
#include <kj/string.h>
#include <zstd.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "iserv/remote/channel.h"
#include "protocol/remote.capnp.h"

namespace {

using namespace splicehost;
using namespace splicehost::remote;
using Bytes = std::span<const std::byte>;

constexpr size_t kMaxInput = 100'000;
constexpr size_t kHeader = 8;  // of a frame (iserv/remote/channel.h)

void require(bool condition) {
  if (!condition) std::abort();
}

// A stream with these bytes in it.
class MemoryStream : public Stream {
 public:
  explicit MemoryStream(Bytes bytes) : rest_(bytes) {}

  Result<Transferred> read(std::span<std::byte> target) override {
    size_t bytes = std::min(target.size(), rest_.size());
    std::ranges::copy(rest_.first(bytes), target.begin());
    rest_ = rest_.subspan(bytes);
    return Transferred{.bytes = bytes, .ended = rest_.empty()};
  }
  Result<Transferred> write(Bytes) override { return Error{"nothing is sent"}; }
  void endWriting() override {}
  int readFd() const override { return -1; }
  int writeFd() const override { return -1; }

 private:
  Bytes rest_;
};

template <typename Root>
void receiveAll(Bytes bytes) {
  Channel channel(std::make_unique<MemoryStream>(bytes), Milliseconds(0));
  while (!channel.ended()) require(channel.takeIn().ok());
  for (;;) {
    auto message = channel.next<Root>();
    if (!message) return require(!message.error().message.empty());
    if (!*message) return;
    kj::str(**message);
  }
}

// One frame, as Channel::send() makes it, of what need not be a message.
std::vector<std::byte> packed(Bytes words) {
  std::unique_ptr<ZSTD_CCtx, size_t (*)(ZSTD_CCtx*)> packer(ZSTD_createCCtx(), ZSTD_freeCCtx);
  ZSTD_CCtx_setParameter(packer.get(), ZSTD_c_windowLog, 16);
  std::vector<std::byte> frame(kHeader + ZSTD_compressBound(words.size()));
  ZSTD_inBuffer in{words.data(), words.size(), 0};
  ZSTD_outBuffer out{frame.data() + kHeader, frame.size() - kHeader, 0};
  require(ZSTD_compressStream2(packer.get(), &out, &in, ZSTD_e_flush) == 0);
  frame.resize(kHeader + out.pos);
  const uint32_t header[] = {static_cast<uint32_t>(out.pos), static_cast<uint32_t>(words.size())};
  static_assert(sizeof header == kHeader && std::endian::native == std::endian::little);
  std::memcpy(frame.data(), header, sizeof header);
  return frame;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1 + sizeof(capnp::word) || size > kMaxInput) return 0;
  auto bytes = std::as_bytes(std::span(data + 1, size - 1));
  std::vector<std::byte> frames = data[0] % 2 == 0 ? std::vector(bytes.begin(), bytes.end()) : packed(bytes);
  receiveAll<schema::ToTarget>(frames);
  receiveAll<schema::FromTarget>(frames);
  return 0;
}
