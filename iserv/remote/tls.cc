#include "iserv/remote/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>

#include <cstring>

namespace splicehost::remote {

namespace {

using Clock = std::chrono::steady_clock;
using Context = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>;
using Session = std::unique_ptr<SSL, decltype(&SSL_free)>;

// OpenSSL's reasons, whose texts differ between its versions and say little to a user.
std::string reasonOf(unsigned long number) {
  if (ERR_SYSTEM_ERROR(number)) return std::strerror(ERR_GET_REASON(number));
  int library = ERR_GET_LIB(number), reason = ERR_GET_REASON(number);
  // A key is read by a decoder, which knows more than PEM.
  if (library == ERR_LIB_PEM || library == ERR_LIB_OSSL_DECODER) return "it is no PEM file of this kind";
  if (library == ERR_LIB_X509 && reason == X509_R_KEY_VALUES_MISMATCH) return "they do not belong together";
  if (library == ERR_LIB_SSL) {
    switch (reason) {
      case SSL_R_WRONG_VERSION_NUMBER:
      case SSL_R_HTTP_REQUEST:
      case SSL_R_PACKET_LENGTH_TOO_LONG:
        return "the other side does not speak TLS";
      case SSL_R_UNSUPPORTED_PROTOCOL:
      case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
        return "the other side does not speak TLS 1.3";
      case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
      case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
      case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
      case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
        return "the other side does not accept the certificate";
      case SSL_R_UNEXPECTED_EOF_WHILE_READING:
        return "the other side hung up";
    }
  }
  return "OpenSSL's reason " + std::to_string(library) + "." + std::to_string(reason);
}

Error tlsError(const std::string& what) {
  // The first is why, and the others where that led to. The system's own comes before one of reading files.
  unsigned long number = ERR_get_error();
  ERR_clear_error();
  return number == 0 ? Error{what} : Error{what + ": " + reasonOf(number)};
}

// What is wrong with the target's certificate.
std::string verificationError(long result) {
  switch (result) {
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
      return "it is not, and is not signed by, one of those to check it against";
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return "it has expired";
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "it is not valid yet";
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return "it is for another name or address";
    default:
      return "it is not valid (OpenSSL's reason " + std::to_string(result) + ")";
  }
}

class TlsStream : public Stream {
 public:
  TlsStream(kj::AutoCloseFd socket, Context context, Session session)
      : socket_(kj::mv(socket)), context_(std::move(context)), session_(std::move(session)) {}

  Result<Transferred> read(std::span<std::byte> target) override {
    size_t got = 0;
    int done = SSL_read_ex(session_.get(), target.data(), target.size(), &got);
    return outcome(done, got, "reading");
  }

  Result<Transferred> write(std::span<const std::byte> bytes) override {
    size_t put = 0;
    int done = SSL_write_ex(session_.get(), bytes.data(), bytes.size(), &put);
    return outcome(done, put, "writing");
  }

  void endWriting() override {
    (void)SSL_shutdown(session_.get());
    ERR_clear_error();
  }

  bool buffered() const override { return SSL_has_pending(session_.get()) != 0; }
  int readFd() const override { return socket_.get(); }
  int writeFd() const override { return socket_.get(); }

 private:
  Result<Transferred> outcome(int done, size_t bytes, const char* what) {
    Transferred result;
    result.bytes = bytes;
    if (done > 0) return result;
    switch (SSL_get_error(session_.get(), done)) {
      case SSL_ERROR_WANT_READ:
        result.wantsToRead = true;
        break;
      case SSL_ERROR_WANT_WRITE:
        result.wantsToWrite = true;
        break;
      case SSL_ERROR_ZERO_RETURN:
        result.ended = true;
        break;
      case SSL_ERROR_SYSCALL:
        // The other side is gone without having said so.
        result.ended = true;
        ERR_clear_error();
        break;
      default: {
        // OpenSSL 3 has a reason of its own for a stream that ends without an end.
        if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
          result.ended = true;
          ERR_clear_error();
          break;
        }
        return tlsError(std::string("TLS, ") + what);
      }
    }
    return result;
  }

  kj::AutoCloseFd socket_;
  Context context_;
  Session session_;
};

Result<Context> makeContext(const SSL_METHOD* method) {
  Context context(SSL_CTX_new(method), SSL_CTX_free);
  if (!context || SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION) != 1) return tlsError("TLS 1.3");
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // Each session is one connection.
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context.get(), 0);
  return context;
}

Status shakeHands(SSL* session, int fd, std::chrono::milliseconds patience, Attention* attention) {
  auto end = Clock::now() + patience;
  for (;;) {
    int done = SSL_do_handshake(session);
    if (done == 1) return Done{};
    int error = SSL_get_error(session, done);
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
      long verified = SSL_get_verify_result(session);
      if (verified != X509_V_OK) {
        ERR_clear_error();
        return Error{"the target's certificate: " + verificationError(verified)};
      }
      return tlsError("the TLS handshake failed");
    }
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now());
    pollfd wait[] = {{fd, static_cast<short>(error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT), 0}};
    int ready = left.count() <= 0 ? 0 : poll(attention, wait, static_cast<int>(left.count()));
    if (ready == 0) {
      return Error{"the other side has not finished the TLS handshake within " +
                   std::to_string(patience.count() / 1000) + " s"};
    }
    if (ready < 0 && errno == ECANCELED) return Error{"nobody needs it"};
  }
}

Result<std::unique_ptr<Stream>> finish(kj::AutoCloseFd socket, Context context, Session session,
                                       std::chrono::milliseconds patience, Attention* attention) {
  int fd = socket.get();
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  if (SSL_set_fd(session.get(), fd) != 1) return tlsError("TLS");
  if (Status done = shakeHands(session.get(), fd, patience, attention); !done) return done.error();
  return std::unique_ptr<Stream>(std::make_unique<TlsStream>(kj::mv(socket), std::move(context), std::move(session)));
}

Result<Context> contextWith(const std::string& certificate, const std::string& key) {
  auto context = makeContext(TLS_server_method());
  if (!context) return context;
  if (SSL_CTX_use_certificate_chain_file(context->get(), certificate.c_str()) != 1) {
    return tlsError("the certificate " + certificate);
  }
  if (SSL_CTX_use_PrivateKey_file(context->get(), key.c_str(), SSL_FILETYPE_PEM) != 1) {
    return tlsError("the private key " + key);
  }
  if (SSL_CTX_check_private_key(context->get()) != 1) {
    return tlsError("the private key " + key + " is not that of the certificate " + certificate);
  }
  return context;
}

}  // namespace

Result<std::unique_ptr<Stream>> tlsToTarget(kj::AutoCloseFd socket, const std::string& host,
                                            const std::string& certificates, std::chrono::milliseconds patience,
                                            Attention* attention) {
  auto context = makeContext(TLS_client_method());
  if (!context) return context.error();
  if (SSL_CTX_load_verify_file(context->get(), certificates.c_str()) != 1) {
    return tlsError("the certificates in " + certificates);
  }
  SSL_CTX_set_verify(context->get(), SSL_VERIFY_PEER, nullptr);
  Session session(SSL_new(context->get()), SSL_free);
  if (!session) return tlsError("TLS");
  X509_VERIFY_PARAM* checks = SSL_get0_param(session.get());
  in6_addr address;
  bool numeric = inet_pton(AF_INET, host.c_str(), &address) == 1 || inet_pton(AF_INET6, host.c_str(), &address) == 1;
  // What is trusted is what the file has, and that need not be an authority.
  X509_VERIFY_PARAM_set_flags(checks, X509_V_FLAG_PARTIAL_CHAIN);
  if (numeric ? X509_VERIFY_PARAM_set1_ip_asc(checks, host.c_str()) != 1
              : X509_VERIFY_PARAM_set1_host(checks, host.c_str(), 0) != 1) {
    return tlsError("the name " + host);
  }
  if (!numeric) SSL_set_tlsext_host_name(session.get(), host.c_str());
  SSL_set_connect_state(session.get());
  return finish(kj::mv(socket), std::move(*context), std::move(session), patience, attention);
}

Result<std::unique_ptr<Stream>> tlsFromFrontEnd(kj::AutoCloseFd socket, const std::string& certificate,
                                                const std::string& key, std::chrono::milliseconds patience) {
  auto context = contextWith(certificate, key);
  if (!context) return context.error();
  Session session(SSL_new(context->get()), SSL_free);
  if (!session) return tlsError("TLS");
  SSL_set_accept_state(session.get());
  return finish(kj::mv(socket), std::move(*context), std::move(session), patience, nullptr);
}

Status checkCertificate(const std::string& certificate, const std::string& key) {
  auto context = contextWith(certificate, key);
  if (!context) return context.error();
  return Done{};
}

}  // namespace splicehost::remote
