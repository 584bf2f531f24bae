// Text and bytes in Cap'n Proto messages, as the standard library's strings.
#pragma once

#include <capnp/blob.h>

#include <string>
#include <string_view>

namespace splicehost {

inline std::string toString(capnp::Data::Reader data) { return {data.asChars().begin(), data.size()}; }
inline std::string toString(capnp::Text::Reader text) { return {text.begin(), text.size()}; }

// Refers to the bytes, which must live as long.
inline capnp::Data::Reader toData(std::string_view bytes) {
  return {reinterpret_cast<const capnp::byte*>(bytes.data()), bytes.size()};
}

}  // namespace splicehost
