// TLS 1.3 on a TCP socket.
#pragma once

#include <kj/io.h>

#include <chrono>
#include <memory>
#include <string>

#include "iserv/remote/stream.h"
#include "protocol/attention.h"
#include "protocol/result.h"

namespace splicehost::remote {

// To a target, whose certificate must be signed by (or be) one of those in this PEM file, and be for this name or
// address. The handshake is done within this time; it fails if `attention` is cancelled. Fails with what did not fit.
Result<std::unique_ptr<Stream>> tlsToTarget(kj::AutoCloseFd socket, const std::string& host,
                                            const std::string& certificates, std::chrono::milliseconds patience,
                                            Attention* attention);

// From a front end, which is shown this certificate, with its chain; both are PEM files.
Result<std::unique_ptr<Stream>> tlsFromFrontEnd(kj::AutoCloseFd socket, const std::string& certificate,
                                                const std::string& key, std::chrono::milliseconds patience);

// Whether certificate and key can be used.
Status checkCertificate(const std::string& certificate, const std::string& key);

}  // namespace splicehost::remote
