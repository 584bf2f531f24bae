// GHC, on the pipes that it gives to its external interpreter. (GHC's messages have no frames: where one ends is
// known only by decoding it.)
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "iserv/front_end/client.h"
#include "iserv/front_end/file_charset.h"
#include "protocol/ghc_versions.h"

namespace splicehost {

class GhcPipes : public Client {
 public:
  // GHC writes to `readFd` and reads what is written to `writeFd`. They stay the caller's.
  GhcPipes(const ghc::Version& version, int readFd, int writeFd, bool verbose);

  Result<Next> next(schema::ToInterpreter::Builder message, size_t* size) override;
  Status takeIn() override;
  int fd() const override { return readFd_; }
  bool gone() const override { return ended_; }
  int hangUpFd() const override { return readFd_; }
  ghc::Bytes answerToSplice() override { return unread(); }
  void answerTaken(size_t bytes) override { begin_ += bytes; }
  Result<bool> reply(uint64_t serial, schema::Request::Which which, schema::Reply::Reader reply) override;
  bool ask(ghc::Bytes question) override;
  void warn(const std::string& message) override { complain(message); }
  void complain(const std::string& message) override;
  int endedBySignal(int signal) override;

 private:
  Status decodeFileName(schema::Request::Builder request);
  const Result<FileCharset>& charset();
  ghc::Bytes unread() const { return ghc::Bytes(bytes_).subspan(begin_); }

  const ghc::Version& version_;
  int readFd_;
  int writeFd_;
  bool verbose_;
  // GHC's pipe, as far as it has been read and not been used.
  std::vector<std::byte> bytes_;
  size_t begin_ = 0;
  bool ended_ = false;
  std::unique_ptr<std::byte[]> buffer_;  // for what is read at a time
  // A message takes that many bytes more, at the least.
  uint64_t missing_ = 1;
  uint64_t messages_ = 0;
  // The locale's, once a file name was not in ASCII.
  std::optional<Result<FileCharset>> charset_;
};

}  // namespace splicehost
