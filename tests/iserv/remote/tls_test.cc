// Both ends of a connection, over a socket pair.

#include "iserv/remote/tls.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <future>
#include <optional>
#include <thread>

#include "tests/iserv/temporary_directory.h"

namespace splicehost::remote {
namespace {

using Outcome = Result<std::unique_ptr<Stream>>;
using std::chrono::milliseconds;

constexpr milliseconds kPatience(20'000);
constexpr long kHour = 3600;

// A certificate and its key, in files and as OpenSSL has them.
struct Identity {
  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key{EVP_EC_gen("P-256"), EVP_PKEY_free};
  std::unique_ptr<X509, decltype(&X509_free)> certificate{X509_new(), X509_free};
  std::string certificateFile, keyFile;
};

struct Wish {
  std::string names = "DNS:board.example,IP:127.0.0.1";
  long from = -kHour, until = kHour;  // seconds from now
  const Identity* issuer = nullptr;   // or else it stands for itself
};

class TlsTest : public ::testing::Test {
 protected:
  TlsTest() {
    signal(SIGPIPE, SIG_IGN);
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) abort();
    near_ = kj::AutoCloseFd(ends[0]);
    far_ = kj::AutoCloseFd(ends[1]);
  }
  ~TlsTest() noexcept override = default;

  Identity make(const std::string& name, const Wish& wish = {}) {
    Identity identity;
    X509* certificate = identity.certificate.get();
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial_);
    X509_gmtime_adj(X509_getm_notBefore(certificate), wish.from);
    X509_gmtime_adj(X509_getm_notAfter(certificate), wish.until);
    X509_set_pubkey(certificate, identity.key.get());
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
    const Identity& issuer = wish.issuer == nullptr ? identity : *wish.issuer;
    X509_set_issuer_name(certificate, X509_get_subject_name(issuer.certificate.get()));
    for (auto [kind, value] : {std::pair<int, std::string>(NID_subject_alt_name, wish.names),
                               std::pair<int, std::string>(NID_basic_constraints, "CA:TRUE")}) {
      X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, kind, value.c_str());
      X509_add_ext(certificate, extension, -1);
      X509_EXTENSION_free(extension);
    }
    X509_sign(certificate, issuer.key.get(), EVP_sha256());
    identity.certificateFile = directory_.path() / (name + ".pem");
    identity.keyFile = directory_.path() / (name + ".key");
    FILE* file = fopen(identity.certificateFile.c_str(), "w");
    PEM_write_X509(file, certificate);
    fclose(file);
    file = fopen(identity.keyFile.c_str(), "w");
    PEM_write_PrivateKey(file, identity.key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    fclose(file);
    return identity;
  }

  // Both ends shake hands: what came of it for the front end, and for the target.
  std::pair<Outcome, Outcome> connect(const Identity& target, const Identity& trusted,
                                      const std::string& host = "board.example") {
    auto far = std::async(std::launch::async, [&] {
      return tlsFromFrontEnd(kj::mv(far_), target.certificateFile, target.keyFile, kPatience);
    });
    Outcome near = tlsToTarget(kj::mv(near_), host, trusted.certificateFile, kPatience, nullptr);
    return {std::move(near), far.get()};
  }
  // Why they do not come together.
  std::pair<std::string, std::string> refusals(const Identity& target, const Identity& trusted,
                                               const std::string& host = "board.example") {
    auto [near, far] = connect(target, trusted, host);
    return {near ? "" : near.error().message, far ? "" : far.error().message};
  }
  // What a front end is told if the other side says this.
  std::string answerTo(std::string_view said) {
    Identity trusted = make("trusted");
    EXPECT_EQ(::write(far_.get(), said.data(), said.size()), static_cast<ssize_t>(said.size()));
    Outcome near = tlsToTarget(kj::mv(near_), "board.example", trusted.certificateFile, milliseconds(50), nullptr);
    return near ? "" : near.error().message;
  }

  splicehost::testing::TemporaryDirectory directory_;
  long serial_ = 0;
  kj::AutoCloseFd near_, far_;
};

std::span<const std::byte> bytesOf(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

// What arrives until the other side has said that there is no more, or is gone.
std::string readAll(Stream& stream) {
  std::string all;
  std::byte bytes[1000];
  for (;;) {
    auto got = stream.read(bytes);
    if (!got) return got.error().message;
    if (got->ended) return all;
    all.append(reinterpret_cast<const char*>(bytes), got->bytes);
    if (got->wantsToRead) std::this_thread::yield();
  }
}

TEST_F(TlsTest, CarriesWhatIsWritten) {
  Identity target = make("target");
  auto [near, far] = connect(target, target);
  ASSERT_TRUE(near && far);
  ASSERT_EQ((*near)->write(bytesOf("hello"))->bytes, 5u);
  (*near)->endWriting();
  EXPECT_EQ(readAll(**far), "hello");
  ASSERT_EQ((*far)->write(bytesOf("and back"))->bytes, 8u);
  (*far)->endWriting();
  EXPECT_EQ(readAll(**near), "and back");
}

TEST_F(TlsTest, DoesNotWait) {
  Identity target = make("target");
  auto [near, far] = connect(target, target);
  ASSERT_TRUE(near && far);
  std::byte bytes[10];
  auto nothing = (*near)->read(bytes);
  ASSERT_TRUE(nothing);
  EXPECT_TRUE(nothing->wantsToRead);
  EXPECT_EQ(nothing->bytes, 0u);
}

// Whoever waits for the socket would wait for ever.
TEST_F(TlsTest, TellsThatMoreWasReadThanWasTaken) {
  Identity target = make("target");
  auto [near, far] = connect(target, target);
  ASSERT_TRUE(near && far);
  ASSERT_EQ((*far)->write(bytesOf("hello"))->bytes, 5u);
  std::byte bytes[2];
  EXPECT_FALSE((*near)->buffered());
  ASSERT_EQ((*near)->read(bytes)->bytes, 2u);
  EXPECT_TRUE((*near)->buffered());
  while ((*near)->read(bytes)->bytes > 0) continue;
  EXPECT_FALSE((*near)->buffered());
}

TEST_F(TlsTest, CarriesMoreThanTheSocketHolds) {
  Identity target = make("target");
  auto [near, far] = connect(target, target);
  ASSERT_TRUE(near && far);
  std::string much;
  for (int i = 0; much.size() < 4'000'000; ++i) much += std::to_string(i);
  auto received = std::async(std::launch::async, [&stream = **far] { return readAll(stream); });
  bool hasWaited = false;
  for (size_t done = 0; done < much.size();) {
    auto put = (*near)->write(bytesOf(std::string_view(much).substr(done)));
    ASSERT_TRUE(put) << put.error().message;
    hasWaited |= put->wantsToWrite;
    done += put->bytes;
  }
  (*near)->endWriting();
  EXPECT_TRUE(received.get() == much);
  EXPECT_TRUE(hasWaited);
}

// A machine that is switched off says nothing.
TEST_F(TlsTest, EndsWithTheConnection) {
  Identity target = make("target");
  auto [near, far] = connect(target, target);
  ASSERT_TRUE(near && far);
  ASSERT_EQ((*far)->write(bytesOf("hello"))->bytes, 5u);
  *far = std::unique_ptr<Stream>();
  EXPECT_EQ(readAll(**near), "hello");
}

TEST_F(TlsTest, FailsIfSomebodyInterferes) {
  Identity target = make("target");
  int other = dup(near_.get());
  auto [near, far] = connect(target, target);
  ASSERT_TRUE(near && far);
  ASSERT_EQ(::write(other, "\x17\x03\x03\x00\x05wrong", 10), 10);
  close(other);
  std::byte bytes[10];
  auto got = (*far)->read(bytes);
  ASSERT_FALSE(got);
  EXPECT_TRUE(got.error().message.starts_with("TLS, reading: ")) << got.error().message;
}

// --- whom a front end believes

TEST_F(TlsTest, KnowsATargetByItsNameOrAddress) {
  Identity target = make("target");
  auto [near, far] = connect(target, target, "127.0.0.1");
  EXPECT_TRUE(near && far);
}

TEST_F(TlsTest, BelievesWhatATrustedCertificateHasSigned) {
  Identity authority = make("authority");
  Identity target = make("target", {.issuer = &authority});
  auto [near, far] = connect(target, authority);
  EXPECT_TRUE(near && far);
}

// It need not be an authority's.
TEST_F(TlsTest, BelievesATrustedCertificateWhoeverHasSignedIt) {
  Identity authority = make("authority");
  Identity target = make("target", {.issuer = &authority});
  auto [near, far] = connect(target, target);
  EXPECT_TRUE(near && far);
}

TEST_F(TlsTest, RefusesAnyOtherTarget) {
  Identity target = make("target"), trusted = make("trusted");
  auto [near, far] = refusals(target, trusted);
  EXPECT_EQ(near, "the target's certificate: it is not, and is not signed by, one of those to check it against");
  EXPECT_EQ(far, "the TLS handshake failed: the other side does not accept the certificate");
}

TEST_F(TlsTest, RefusesATargetOfAnotherName) {
  Identity target = make("target");
  EXPECT_EQ(refusals(target, target, "other.example").first,
            "the target's certificate: it is for another name or address");
}

TEST_F(TlsTest, RefusesATargetAtAnotherAddress) {
  Identity target = make("target");
  EXPECT_EQ(refusals(target, target, "127.0.0.2").first, "the target's certificate: it is for another name or address");
}

TEST_F(TlsTest, RefusesACertificateThatHasExpired) {
  Identity target = make("target", {.from = -2 * kHour, .until = -kHour});
  auto [near, far] = refusals(target, target);
  EXPECT_EQ(near, "the target's certificate: it has expired");
  EXPECT_EQ(far, "the TLS handshake failed: the other side does not accept the certificate");
}

TEST_F(TlsTest, RefusesACertificateThatIsNotValidYet) {
  Identity target = make("target", {.from = kHour, .until = 2 * kHour});
  EXPECT_EQ(refusals(target, target).first, "the target's certificate: it is not valid yet");
}

TEST_F(TlsTest, RefusesCertificatesThatAreNone) {
  Identity none;
  none.certificateFile = directory_.write("text.pem", "hello");
  Outcome near = tlsToTarget(kj::mv(near_), "board.example", none.certificateFile, kPatience, nullptr);
  ASSERT_FALSE(near);
  EXPECT_TRUE(near.error().message.starts_with("the certificates in " + none.certificateFile)) << near.error().message;
}

// --- with whom there is no talking

TEST_F(TlsTest, SaysThatNobodySpeaksTls) {
  EXPECT_EQ(answerTo("SSH-2.0-OpenSSH_9.2\r\n"), "the TLS handshake failed: the other side does not speak TLS");
}

TEST_F(TlsTest, SaysThatNobodyAnswers) {
  EXPECT_EQ(answerTo(""), "the other side has not finished the TLS handshake within 0 s");
}

TEST_F(TlsTest, SaysThatTheOtherSideHungUp) {
  Identity trusted = make("trusted");
  shutdown(far_.get(), SHUT_WR);
  Outcome near = tlsToTarget(kj::mv(near_), "board.example", trusted.certificateFile, kPatience, nullptr);
  ASSERT_FALSE(near);
  EXPECT_EQ(near.error().message, "the TLS handshake failed: the other side hung up");
}

TEST_F(TlsTest, SaysThatTheOtherSideSpeaksAnOlderVersion) {
  Identity target = make("target");
  auto older = std::async(std::launch::async, [&] {
    std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
    SSL_CTX_set_max_proto_version(context.get(), TLS1_2_VERSION);
    SSL_CTX_use_certificate(context.get(), target.certificate.get());
    SSL_CTX_use_PrivateKey(context.get(), target.key.get());
    std::unique_ptr<SSL, decltype(&SSL_free)> session(SSL_new(context.get()), SSL_free);
    SSL_set_fd(session.get(), far_.get());
    return SSL_accept(session.get());
  });
  Outcome near = tlsToTarget(kj::mv(near_), "board.example", target.certificateFile, kPatience, nullptr);
  EXPECT_NE(older.get(), 1);
  ASSERT_FALSE(near);
  EXPECT_EQ(near.error().message, "the TLS handshake failed: the other side does not speak TLS 1.3");
}

TEST_F(TlsTest, IsGivenUpWhenNobodyNeedsIt) {
  Identity trusted = make("trusted");
  Attention attention(nullptr);
  attention.cancelAfter(milliseconds(20));
  Outcome near = tlsToTarget(kj::mv(near_), "board.example", trusted.certificateFile, kPatience, &attention);
  ASSERT_FALSE(near);
  EXPECT_EQ(near.error().message, "nobody needs it");
}

// --- what a target is told when it starts

std::string complaint(const std::string& certificate, const std::string& key) {
  Status checked = checkCertificate(certificate, key);
  return checked ? "" : checked.error().message;
}

TEST_F(TlsTest, TakesACertificateWithItsKey) {
  Identity target = make("target");
  EXPECT_EQ(complaint(target.certificateFile, target.keyFile), "");
}

TEST_F(TlsTest, SaysWhatCannotBeUsed) {
  Identity target = make("target"), other = make("other");
  std::string missing = directory_.path() / "missing", text = directory_.write("text", "hello");
  EXPECT_EQ(complaint(missing, target.keyFile), "the certificate " + missing + ": No such file or directory");
  EXPECT_EQ(complaint(target.certificateFile, missing), "the private key " + missing + ": No such file or directory");
  EXPECT_EQ(complaint(text, target.keyFile), "the certificate " + text + ": it is no PEM file of this kind");
  EXPECT_EQ(complaint(target.certificateFile, text), "the private key " + text + ": it is no PEM file of this kind");
  std::string mismatch = complaint(target.certificateFile, other.keyFile);
  EXPECT_TRUE(mismatch.starts_with("the private key " + other.keyFile)) << mismatch;
  EXPECT_TRUE(mismatch.ends_with("they do not belong together")) << mismatch;
}

}  // namespace
}  // namespace splicehost::remote
