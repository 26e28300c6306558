// An answer in the making: what completions and chat completions do alike with the events of
// their sequences.
//
//   not streaming: every event is kept; after the last finish one JSON object is sent
//   streaming:     every event becomes a chunk at once; after the last finish usage and "[DONE]"
//
// The stream, and with it the HTTP status, begins with its first chunk: an error of the generator
// before that, such as a deadline that passed in the queue, still becomes a status of its own.
// Later it is an error event and "[DONE]".
//
// Threads: the connection's strand.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "serve/generation.h"
#include "serve/logprobs.h"
#include "serve/model_entry.h"
#include "serve/prompt.h"

namespace inferno::serve {

// What an answer is about.
struct AnswerContext {
  std::shared_ptr<net::Responder> responder;
  EntryPtr entry;
  std::string id;       // "chatcmpl-..."
  int64_t created = 0;  // seconds since 1970
  TimePoint arrival{};  // when the whole request was there
  std::string client;   // its account (account.h)
  Call call;
  std::vector<Prompt> prompts;
};

// What has come of one sequence. Lists grow only where they are asked for.
struct ChoiceState {
  std::string text;
  std::vector<TokenId> token_ids;
  std::vector<request::TokenOutput> outputs;
  std::vector<request::TokenOutput> prompt_outputs;
  std::string finish_reason;  // empty while running
  std::optional<request::TokenEvent> last_event;
  bool has_chunk = false;  // a chunk of it was sent
  size_t token_count = 0;
};

class Answer : public EventReader {
 public:
  explicit Answer(AnswerContext context);
  ~Answer() override;

  const AnswerContext& context() const { return context_; }

  bool on_event(size_t index, request::TokenEvent event) final;

 protected:
  // The chunk for an event of a sequence; none: the event tells the client nothing.
  virtual std::optional<boost::json::object> chunk(size_t index,
                                                   const request::TokenEvent& event) = 0;
  // Chunks that come before all others.
  virtual std::vector<boost::json::object> opening_chunks();
  // The whole answer, all sequences finished, without usage.
  virtual boost::json::object whole() = 0;
  // The "object" of a chunk: "text_completion", "chat.completion.chunk".
  virtual std::string_view chunk_object() const = 0;

  // {"id", "object": object, "created", "model", "choices": choices}.
  boost::json::object envelope(std::string_view object, boost::json::array choices) const;
  // Adds finish_reason and stop_reason of an event that has them, else nulls.
  static void add_finish(boost::json::object& choice, const request::TokenEvent& event);
  // True when the event holds something that this call's client asked to see.
  bool is_worth_a_chunk(const request::TokenEvent& event) const;
  const Prompt& prompt_of(size_t index) const;
  LogprobStyle style() const;

  AnswerContext context_;
  std::vector<ChoiceState> choices_;

 private:
  void keep(ChoiceState& choice, request::TokenEvent& event);
  void stream(size_t index, const request::TokenEvent& event);
  void complete();
  bool fail_with(const Error& error);
  boost::json::object usage(std::optional<size_t> index) const;
  void send_chunks(const std::vector<boost::json::object>& chunks);
  // Writes to the stream, which begins with the first bytes.
  void write(std::string_view bytes);

  size_t running_count_;
  bool has_opened_ = false;    // the opening chunks are sent
  bool is_streaming_ = false;  // the status is sent
};

// {1, 2, 3} as JSON.
boost::json::array id_list(std::span<const TokenId> tokens);

}  // namespace inferno::serve
