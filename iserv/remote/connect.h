// Getting a stream to a target.
#pragma once

#include <kj/io.h>
#include <sys/types.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "iserv/base/process.h"
#include "iserv/remote/stream.h"
#include "protocol/attention.h"
#include "protocol/result.h"

namespace splicehost::remote {

// Where a target is, as users write it: `unix:PATH`, `tcp:HOST:PORT`, or else a command for the shell whose standard
// input and output are the connection.
struct Destination {
  enum class Kind { kCommand, kUnix, kTcp } kind = Kind::kCommand;
  std::string text;  // as written
  std::string command;
  std::string path;
  std::string host;
  std::string port;
  std::string token;        // what a listener demands
  std::string certificate;  // a PEM file with what the target's certificate is checked against; TLS if not empty
};

Result<Destination> parseDestination(const std::string& text);

// A running command. When this object goes, so does the command, with all that is in its process group.
class Command {
 public:
  // It leads its process group, which ends when `alive` is closed. `attention`, if there is one, must outlive this.
  Command(Process process, kj::AutoCloseFd alive, Attention* attention)
      : process_(std::move(process)), alive_(kj::mv(alive)), attention_(attention) {}
  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;
  ~Command();
  // How it ended, if it has or does within this time: "ended with exit status 1", "was ended by signal 9".
  std::optional<std::string> ended(std::chrono::milliseconds patience);

 private:
  Process process_;
  kj::AutoCloseFd alive_;
  Attention* attention_;
};

struct Connected {
  std::unique_ptr<Stream> stream;
  std::unique_ptr<Command> command;  // none if it is a socket
};

// Connects within this time. Fails with what does not answer, and if `attention` is cancelled, which must outlive the
// result.
Result<Connected> connectTo(const Destination& destination, std::chrono::milliseconds patience,
                            Attention* attention = nullptr);

// Whether a host is this machine by its name or address: localhost, 127.0.0.0/8 or ::1.
bool isLoopback(const std::string& host);

}  // namespace splicehost::remote
