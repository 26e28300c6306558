// Which models a server has, for whoever does not name one.
//
// Threads: runs the io_context until the answer is there.
#pragma once

#include <boost/asio/io_context.hpp>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/http_client.h"

namespace inferno::load {

// The id of the first model in the list that GET URL/v1/models gives. kPeerGone when the server
// cannot be reached, kInvalid with its words when it refuses, kCorrupt when there is no such list.
Result<std::string> first_model(boost::asio::io_context& io, const net::HttpUrl& url,
                                const net::HttpHeaders& headers);

// The first id of a list of models as JSON.
Result<std::string> first_model_in(std::string_view body);

}  // namespace inferno::load
