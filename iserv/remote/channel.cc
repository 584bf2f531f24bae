#include "iserv/remote/channel.h"

#include <errno.h>
#include <poll.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "protocol/ghc_messages.h"
#include "protocol/message_check.h"

namespace splicehost::remote {

namespace {

// As Connection's.
constexpr uint64_t kMaxBytes = 2 * ghc::kMessageLimit + 8192;
// What is allocated because a frame says that it becomes so much.
constexpr size_t kBytesOnTrust = size_t{4} << 20;
constexpr size_t kHeader = 8;
constexpr size_t kReadSize = size_t{256} << 10;
// Archives of one package have much in common with each other; this is a few of them.
constexpr int kWindowLogs[] = {16, 23};
// The transcript is short, and its tables small: to prepare larger ones takes longer than they would save.
constexpr int kLevels[] = {1, 3};
constexpr int kTranscriptHashLog = 13;
// With which the first frame's piece begins, since it is the first of a zstd stream (RFC 8878, 3.1.1).
constexpr std::array kMagic = {std::byte(0x28), std::byte(0xb5), std::byte(0x2f), std::byte(0xfd)};
// Of a greeting, what is shown at a time though there is no end of a line.
constexpr size_t kMaxLine = 4096;
constexpr uint32_t kContentBit = uint32_t{1} << 31;

using Clock = std::chrono::steady_clock;

uint32_t readNumber(const std::byte* bytes) {
  uint32_t value = 0;
  for (int i = 3; i >= 0; --i) value = value << 8 | std::to_integer<uint32_t>(bytes[i]);
  return value;
}

void writeNumber(std::byte* bytes, uint32_t value) {
  for (int i = 0; i < 4; ++i) bytes[i] = static_cast<std::byte>(value >> (8 * i));
}

}  // namespace

Channel::Channel(std::unique_ptr<Stream> stream, Milliseconds patience, Attention* attention)
    : stream_(std::move(stream)),
      patience_(patience),
      attention_(attention),
      packers_{Packer(nullptr, ZSTD_freeCCtx), Packer(nullptr, ZSTD_freeCCtx)},
      unpackers_{Unpacker(nullptr, ZSTD_freeDCtx), Unpacker(nullptr, ZSTD_freeDCtx)},
      buffer_(std::make_unique_for_overwrite<std::byte[]>(kReadSize)),
      lastHeard_(Clock::now()),
      lastSaid_(Clock::now()) {}

Channel::~Channel() = default;

Status Channel::send(capnp::MessageBuilder& message, bool flushNow, Kind kind) {
  auto which = static_cast<size_t>(kind);
  Packer& packer = packers_[which];
  if (packer == nullptr) {
    packer.reset(ZSTD_createCCtx());
    ZSTD_CCtx_setParameter(packer.get(), ZSTD_c_compressionLevel, kLevels[which]);
    if (kind == Kind::kTranscript) ZSTD_CCtx_setParameter(packer.get(), ZSTD_c_hashLog, kTranscriptHashLog);
    ZSTD_CCtx_setParameter(packer.get(), ZSTD_c_windowLog, kWindowLogs[which]);
  }
  auto words = capnp::messageToFlatArray(message);
  auto bytes = words.asBytes();
  if (bytes.size() > kMaxBytes) return Error{"a message of " + std::to_string(bytes.size()) + " bytes is too large"};
  size_t start = outgoing_.size();
  outgoing_.resize(start + kHeader);
  ZSTD_inBuffer in{bytes.begin(), bytes.size(), 0};
  for (;;) {
    ZSTD_outBuffer out{buffer_.get(), kReadSize, 0};
    size_t left = ZSTD_compressStream2(packer.get(), &out, &in, ZSTD_e_flush);
    outgoing_.insert(outgoing_.end(), buffer_.get(), buffer_.get() + out.pos);
    if (ZSTD_isError(left)) return Error{std::string("compression: ") + ZSTD_getErrorName(left)};
    if (left == 0 && in.pos == in.size) break;
  }
  writeNumber(outgoing_.data() + start, static_cast<uint32_t>(outgoing_.size() - start - kHeader));
  writeNumber(outgoing_.data() + start + 4,
              static_cast<uint32_t>(bytes.size()) | (kind == Kind::kContent ? kContentBit : 0));
  return flushNow ? flush() : Done{};
}

Status Channel::flush() {
  size_t done = 0;
  while (done < outgoing_.size()) {
    auto put = stream_->write(std::span(outgoing_).subspan(done));
    if (!put) return put.error();
    done += put->bytes;
    if (put->bytes > 0) continue;
    pollfd fds[] = {{stream_->writeFd(), POLLOUT, 0}, {stream_->readFd(), POLLIN, 0}};
    // Both directions may be one socket, and both pipes are to be looked at, too.
    if (ended_) fds[1].fd = -1;
    int ready = poll(attention_, fds, static_cast<int>(patience_.count()));
    if (ready < 0 && errno == ECANCELED) return Error{"nobody needs it"};
    if (ready == 0) {
      return Error{"the other side has taken nothing for " + std::to_string(patience_.count() / 1000) + " s"};
    }
    if (ready > 0 && fds[1].revents != 0) {
      if (Status taken = takeIn(); !taken) return taken;
    }
  }
  outgoing_.clear();
  lastSaid_ = Clock::now();
  return Done{};
}

void Channel::end(Milliseconds patience) {
  stream_->endWriting();
  auto end = Clock::now() + patience;
  while (!ended_) {
    auto left = std::chrono::duration_cast<Milliseconds>(end - Clock::now());
    pollfd wait = {stream_->readFd(), POLLIN, 0};
    if (left.count() <= 0 || (!stream_->buffered() && poll(&wait, 1, static_cast<int>(left.count())) == 0)) return;
    incoming_.clear();
    begin_ = 0;
    if (!takeIn()) return;
  }
}

Status Channel::takeIn() {
  if (begin_ > 0 && begin_ == incoming_.size()) {
    incoming_.clear();
    begin_ = 0;
  }
  // What has arrived whole is to be used first.
  while (!ended_ && incoming_.size() - begin_ < std::min(kMaxBytes, limit_)) {
    auto got = stream_->read(std::span(buffer_.get(), kReadSize));
    if (!got) return got.error();
    incoming_.insert(incoming_.end(), buffer_.get(), buffer_.get() + got->bytes);
    ended_ = got->ended;
    if (got->bytes == 0) break;
    lastHeard_ = Clock::now();
    if (incoming_.size() - begin_ >= kReadSize * 4 || (got->bytes < kReadSize && !stream_->buffered())) break;
  }
  return Done{};
}

bool Channel::buffered() const {
  auto unread = std::span(incoming_).subspan(begin_);
  return stream_->buffered() || (unread.size() >= kHeader && unread.size() - kHeader >= readNumber(unread.data()));
}

// True when the first frame is next.
bool Channel::skipGreeting() {
  auto unread = std::span(incoming_).subspan(begin_);
  auto first = unread.begin() + static_cast<ptrdiff_t>(std::min(kHeader, unread.size()));
  auto magic = std::search(first, unread.end(), kMagic.begin(), kMagic.end());
  if (magic != unread.end()) {
    showGreeting(static_cast<size_t>(magic - unread.begin()) - kHeader);
    showGreeting_ = nullptr;
    return true;
  }
  // The end may be the begin of a frame.
  size_t certain = unread.size() - std::min(unread.size(), kHeader + kMagic.size() - 1);
  if (ended_) {
    showGreeting(unread.size());
  } else if (certain > 0) {
    auto lines =
        std::find(unread.rbegin() + static_cast<ptrdiff_t>(unread.size() - certain), unread.rend(), std::byte('\n'));
    showGreeting(certain > kMaxLine ? certain : static_cast<size_t>(unread.rend() - lines));
  }
  return false;
}

void Channel::showGreeting(size_t bytes) {
  if (bytes == 0) return;
  showGreeting_({reinterpret_cast<const char*>(incoming_.data()) + begin_, bytes});
  begin_ += bytes;
}

void Channel::endGreeting() {
  if (!showGreeting_) return;
  // What cannot be sent to any more may have said why.
  (void)takeIn().ok();
  if (!skipGreeting()) showGreeting(incoming_.size() - begin_);
}

Result<bool> Channel::nextMessage(capnp::StructSchema root) {
  reader_.reset();
  if (showGreeting_ && !skipGreeting()) return false;
  auto unread = std::span(incoming_).subspan(begin_);
  if (unread.size() < kHeader) {
    if (ended_ && !unread.empty()) return Error{"the other side hung up inside a message"};
    return false;
  }
  size_t packed = readNumber(unread.data());
  uint32_t second = readNumber(unread.data() + 4);
  size_t size = second & ~kContentBit;
  size_t which = (second & kContentBit) != 0 ? 1 : 0;
  if (size > std::min(kMaxBytes, limit_) || packed > ZSTD_compressBound(size) + 1024 ||
      size % sizeof(capnp::word) != 0 || size == 0) {
    return Error{"a frame of " + std::to_string(packed) + " bytes for " + std::to_string(size) +
                 " is no frame of this protocol"};
  }
  if (unread.size() < kHeader + packed) {
    if (ended_) return Error{"the other side hung up inside a message"};
    // So that the buffer does not grow by moving all that is used already.
    if (begin_ > kReadSize) {
      incoming_.erase(incoming_.begin(), incoming_.begin() + static_cast<ptrdiff_t>(begin_));
      begin_ = 0;
    }
    return false;
  }
  Unpacker& unpacker = unpackers_[which];
  if (unpacker == nullptr) {
    unpacker.reset(ZSTD_createDCtx());
    ZSTD_DCtx_setParameter(unpacker.get(), ZSTD_d_windowLogMax, kWindowLogs[which]);
  }
  Status unpacked = unpack(unpacker.get(), unread.subspan(kHeader, packed), size);
  if (!unpacked) return unpacked.error();
  begin_ += kHeader + packed;
  // A message with too many segments, or sizes that do not fit, fails here.
  if (Status good = checkMessage(words_, root); !good) return good.error();
  reader_ = std::make_unique<capnp::FlatArrayMessageReader>(words_, kCheckedMessage);
  return true;
}

Status Channel::unpack(ZSTD_DCtx_s* unpacker, std::span<const std::byte> packed, size_t size) {
  size_t room = std::min(size, kBytesOnTrust);
  words_ = kj::heapArray<capnp::word>(room / sizeof(capnp::word));
  ZSTD_inBuffer in{packed.data(), packed.size(), 0};
  size_t done = 0;
  for (;;) {
    auto bytes = words_.asBytes();
    ZSTD_outBuffer out{bytes.begin(), bytes.size(), done};
    size_t left = ZSTD_decompressStream(unpacker, &out, &in);
    if (ZSTD_isError(left)) return Error{std::string("decompression: ") + ZSTD_getErrorName(left)};
    bool progress = out.pos > done;
    done = out.pos;
    if (done == size) break;
    if (done == bytes.size()) {
      auto longer = kj::heapArray<capnp::word>(std::min(size, 2 * bytes.size()) / sizeof(capnp::word));
      std::copy(bytes.begin(), bytes.end(), longer.asBytes().begin());
      words_ = kj::mv(longer);
    } else if (in.pos == in.size && !progress) {
      return Error{"a frame becomes " + std::to_string(done) + " bytes and not " + std::to_string(size)};
    }
  }
  if (in.pos == in.size) return Done{};
  // What is left may be the end of a block, but nothing that becomes a byte.
  std::byte further;
  ZSTD_outBuffer out{&further, 1, 0};
  size_t left = ZSTD_decompressStream(unpacker, &out, &in);
  if (ZSTD_isError(left) || out.pos != 0 || in.pos != in.size) {
    return Error{"a frame becomes more than the " + std::to_string(size) + " bytes that it names"};
  }
  return Done{};
}

}  // namespace splicehost::remote
