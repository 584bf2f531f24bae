// iservctl's side of the broker's protocol (protocol/broker.capnp).
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "iserv/ctl/installation.h"
#include "protocol/broker.capnp.h"
#include "protocol/packet_socket.h"
#include "protocol/result.h"

namespace splicehost::ctl {

// Where the broker of an installation is, or would be, for processes that see the same world as this.
struct BrokerPlace {
  std::string socket;
  std::string log;

  static Result<BrokerPlace> of(const Installation& installation);
  // Of the installation that this program belongs to.
  static Result<BrokerPlace> own();
  // The same, and then those of this installation's brokers that other terminals have, or processes that are
  // confined otherwise (iserv/base/process_identity.h).
  static Result<std::vector<BrokerPlace>> all();
};

// A broker's status, as long as this lives.
class BrokerStatus {
 public:
  explicit BrokerStatus(PacketSocket::Packet packet) : packet_(kj::mv(packet)) {}
  schema::BrokerStatus::Reader operator*() const { return packet_.root<schema::FromBroker>().getStatus(); }

 private:
  PacketSocket::Packet packet_;
};

// A connection to a broker. Everything fails if the broker does not answer in time: it hangs.
class BrokerClient {
 public:
  static constexpr std::chrono::milliseconds kPatience{5000};

  // Connects to the broker whose socket this is. Nothing if none runs.
  static Result<std::optional<BrokerClient>> connect(const std::string& socket,
                                                     std::chrono::milliseconds patience = kPatience);

  Result<BrokerStatus> status();

  // Whether it runs this program, in the namespaces in which this process is.
  bool runs(const std::filesystem::path& program) const;

  // Tells it to end, and returns when its process is gone.
  Status stop();

 private:
  BrokerClient(kj::AutoCloseFd fd, std::chrono::milliseconds patience) : socket_(kj::mv(fd)), patience_(patience) {}

  Status send(capnp::MessageBuilder& message);
  // Nothing if the broker has hung up.
  Result<std::optional<PacketSocket::Packet>> receive();
  Error slow(const std::string& what) const;

  PacketSocket socket_;
  std::chrono::milliseconds patience_;
  int32_t processId_ = 0;
};

// Those of BrokerPlace::all() that run. One that is another installation's or container's, or is ending, is left out.
Result<std::vector<BrokerClient>> runningBrokers();

// The status of the broker of this program's installation. Nothing if none runs.
Result<std::optional<BrokerStatus>> brokerStatus();

}  // namespace splicehost::ctl
