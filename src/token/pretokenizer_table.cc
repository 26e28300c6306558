#include "token/pretokenizer_table.h"

#include <algorithm>
#include <array>

namespace inferno::token {
namespace {

using Regex = std::string_view;

// clang-format off: one expression a line where it fits
constexpr Regex kDigit = R"re(\p{N})re";
constexpr Regex kDigitRun = R"re(\p{N}+)re";
constexpr Regex kUpToThreeDigits = R"re(\p{N}{1,3})re";
constexpr Regex kThreeAsciiDigits = R"re([0-9][0-9][0-9])re";
constexpr Regex kNewline = R"re([\r\n])re";
constexpr Regex kLines = R"re([^\n]+|[\n]+)re";
constexpr Regex kNonSpaces = R"re(\S+)re";
constexpr Regex kGpt2Words =
    R"re('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S))re";
constexpr Regex kLlama3Words =
    R"re((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|)re"
    R"re(\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)re";
// As kLlama3Words, but every digit is a word of its own.
constexpr Regex kQwen2Words =
    R"re((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|)re"
    R"re(\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)re";
constexpr Regex kQwen35Words =
    R"re((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|)re"
    R"re([^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|)re"
    R"re(\s+(?!\S)|\s+)re";
constexpr Regex kMiniCpmWords =
    R"re((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|)re"
    R"re(\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)re";
// Long runs of spaces are cut up; only from the beginning of a run need a line end be looked for.
constexpr Regex kJais2Words =
    R"re((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|)re"
    R"re(\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|(?<![^\S\r\n])\s*[\r\n]+|\s{512}(?!\S)|)re"
    R"re(\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|)re"
    R"re(\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1})re";
constexpr Regex kBailingWords =
    R"re('(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|)re"
    R"re( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)re";
constexpr Regex kSeedCoderWords =
    R"re((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|)re"
    R"re(\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+)re";
// Possessive: nothing behind the words makes a shorter match better.
constexpr Regex kExaoneMoeWords =
    R"re((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|)re"
    R"re([^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*+(?: \p{L}\p{M}*+)*+)++|\p{N}|)re"
    R"re( ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+)re";
constexpr Regex kBloomWords =
    R"re( ?[^(\s|.,!?\x{2026}\x{3002}\x{FF0C}\x{3001}\x{964}\x{6D4}\x{60C})]+)re";
// Words break where a lower-case letter is followed by an upper-case one.
constexpr Regex kGpt4oWords =
    R"re([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?:'[sS])re"
    R"re(|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?|)re"
    R"re([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?:'[sS])re"
    R"re(|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?|\p{N}{1,3}|)re"
    R"re( ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)re";
constexpr Regex kTekkenWords =
    R"re([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|)re"
    R"re([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}|)re"
    R"re( ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)re";
constexpr Regex kYoutuWords =
    R"re([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?:'[sS])re"
    R"re(|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?|)re"
    R"re([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?:'[sS])re"
    R"re(|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|)re"
    R"re(\s*[\r\n]+|\s+(?!\S)|\s+)re";
constexpr Regex kYoutuScripts =
    R"re([\x{AC00}-\x{D7A3}\x{3131}-\x{318E}]+|)re"
    R"re([\x{FF01}\x{2026}\x{201C}\x{201D}\x{2018}\x{2019}\x{2014}\x{FF1A}\x{FF1B}\x{FF0C})re"
    R"re(\x{3001}-\x{303F}\x{FE30}-\x{FE4F}]+|[\x{3105}-\x{312F}]+|)re"
    R"re([\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+)re";
// As kGpt4oWords, with runs of Han apart (moonshotai, tokenization_kimi.py); its intersections of
// classes are written as complements: everything but lower case and what is no letter or mark, and
// so on.
constexpr Regex kKimiWords =
    R"re(\p{Han}+|)re"
    R"re([^\r\n\p{L}\p{N}]?[^\p{Ll}\p{N}\p{P}\p{S}\p{Z}\p{C}\p{Han}]*[^\p{Lu}\p{Lt}\p{N}\p{P})re"
    R"re(\p{S}\p{Z}\p{C}\p{Han}]+(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?|)re"
    R"re([^\r\n\p{L}\p{N}]?[^\p{Ll}\p{N}\p{P}\p{S}\p{Z}\p{C}\p{Han}]+[^\p{Lu}\p{Lt}\p{N}\p{P})re"
    R"re(\p{S}\p{Z}\p{C}\p{Han}]*(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?|)re"
    R"re(\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)re";
// The cased letters, listed.
constexpr Regex kDeepSeekLetters =
    R"re(\s?[A-Za-z\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF}\x{1C4}-)re"
    R"re(\x{293}\x{295}-\x{2AF}\x{370}-\x{373}\x{376}\x{377}\x{37B}-\x{37D}\x{37F}\x{386})re"
    R"re(\x{388}-\x{38A}\x{38C}\x{38E}-\x{3A1}\x{3A3}-\x{3F5}\x{3F7}-\x{481}\x{48A}-\x{52F})re"
    R"re(\x{531}-\x{556}\x{10A0}-\x{10C5}\x{13A0}-\x{13F5}\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA})re"
    R"re(\x{1CBD}-\x{1CBF}\x{1D00}-\x{1D2B}\x{1D6B}-\x{1D77}\x{1D79}-\x{1D9A}\x{1E00}-)re"
    R"re(\x{1F15}\x{1F18}-\x{1F1D}\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D}\x{1F50}-\x{1F57}\x{1F59})re"
    R"re(\x{1F5B}\x{1F5D}\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4}\x{1FB6}-\x{1FBC}\x{1FBE}\x{1FC2}-)re"
    R"re(\x{1FC4}\x{1FC6}-\x{1FCC}\x{1FD0}-\x{1FD3}\x{1FD6}-\x{1FDB}\x{1FE0}-\x{1FEC}\x{1FF2})re"
    R"re(-\x{1FF4}\x{1FF6}-\x{1FFC}\x{2102}\x{2107}\x{210A}-\x{2113}\x{2115}\x{2119}-\x{211D})re"
    R"re(\x{2124}\x{2126}\x{2128}\x{212A}-\x{212D}\x{212F}-\x{2134}\x{2139}\x{213C}-\x{213F})re"
    R"re(\x{2145}-\x{2149}\x{214E}\x{2183}\x{2184}\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4}\x{2CEB}-)re"
    R"re(\x{2CEE}\x{2CF2}\x{2CF3}\x{A640}-\x{A66D}\x{A680}-\x{A69B}\x{A722}-\x{A76F}\x{A771}-)re"
    R"re(\x{A787}\x{A78B}-\x{A78E}\x{AB70}-\x{ABBF}\x{FB00}-\x{FB06}\x{FB13}-\x{FB17}\x{FF21})re"
    R"re(-\x{FF3A}\x{FF41}-\x{FF5A}\x{10400}-\x{1044F}\x{104B0}-\x{104D3}\x{104D8}-\x{104FB})re"
    R"re(\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2}\x{118A0}-\x{118DF}\x{1E900}-\x{1E943}]+)re";
constexpr Regex kDeepSeekPunctuation =
    R"re(\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+)re";
// \s+$ in a form that takes linear time: a run is tried from its beginning only.
constexpr Regex kDeepSeekTrailingSpaces = R"re((?<!\s)\s++$)re";
constexpr Regex kDeepSeekCjk = R"re([\x{4E00}-\x{9FA5}\x{800}-\x{4E00}\x{AC00}-\x{D7FF}]+)re";
constexpr Regex kCoderLetters = R"re(\s?\p{L}+)re";
constexpr Regex kCoderPunctuation = R"re(\s?\p{P}+)re";
constexpr Regex kDeepSeek3Cjk = R"re([\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+)re";
constexpr Regex kDeepSeek3Words =
    R"re([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|)re"
    R"re([^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)re";
constexpr Regex kDefaultPunctuation = R"re([\p{P}\$\+<=>\^~\|]+)re";
constexpr Regex kFalconPunctuation = R"re([\p{P}\$\+<=>\^~\|`]+)re";
constexpr Regex kAfmoeScripts =
    R"re([\x{4E00}-\x{9FFF}\x{3400}-\x{4DBF}\x{8C48}-\x{FAFF}\x{3040}-\x{309F}\x{30A0}-)re"
    R"re(\x{30FF}\x{FF65}-\x{FF9F}\x{2F00}-\x{2FDF}\x{E40}-\x{E7F}\x{E80}-\x{EFF}\x{1780}-)re"
    R"re(\x{17FF}\x{1000}-\x{109F}\x{AA60}-\x{AA7F}\x{A9E0}-\x{A9FF}\x{AC00}-\x{D7AF}\x{1100})re"
    R"re(-\x{11FF}]+)re";
constexpr Regex kChameleonSentinel = R"re(<sentinel:[0-9]+>)re";
constexpr Regex kChameleonImage = R"re((IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z)re";
constexpr Regex kChameleonSpaces = R"re(([\t\n]|    |  ))re";
constexpr Regex kChameleonPunctuation = R"re([\p{P}!-/:-@\[-`{-~])re";
// Groups of three digits counted from the right end of a number, as 12 345 678. \G (where the match
// before ended) spares each group a look at the whole number.
constexpr Regex kTriples =
    R"re(\G(?<=\p{N})\p{N}{3}|(?<!\p{N})\p{N}{1,3}(?=(?:\p{N}{3})*+(?!\p{N})))re";
// As kTriples, but not in numbers that a letter follows.
constexpr Regex kWordTriples = R"re(\G(?<=\d)\d{3}|(?<!\d)\d{1,3}(?=(?:\d{3})*+\b))re";
// The places before which a multiple of three digits is left of a number.
constexpr Regex kTripleBoundaries = R"re((?=(?:\d{3})++(?!\d)))re";

constexpr std::array<Regex, 1> kLlama3 = {kLlama3Words};
constexpr std::array<Regex, 1> kJais2 = {kJais2Words};
constexpr std::array<Regex, 6> kDeepSeekLlm = {
    kNewline, kDeepSeekLetters, kDeepSeekPunctuation, kDeepSeekTrailingSpaces, kDeepSeekCjk,
    kDigitRun};
constexpr std::array<Regex, 3> kDeepSeek3 = {kUpToThreeDigits, kDeepSeek3Cjk, kDeepSeek3Words};
constexpr std::array<Regex, 2> kYoutu = {kYoutuScripts, kYoutuWords};
constexpr std::array<Regex, 5> kDeepSeekCoder = {
    kNewline, kCoderLetters, kCoderPunctuation, kDeepSeekCjk, kDigit};
constexpr std::array<Regex, 3> kFalcon = {kFalconPunctuation, kGpt2Words, kThreeAsciiDigits};
constexpr std::array<Regex, 2> kStarCoder = {kDigit, kGpt2Words};
constexpr std::array<Regex, 1> kGpt2 = {kGpt2Words};
constexpr std::array<Regex, 1> kQwen2 = {kQwen2Words};
constexpr std::array<Regex, 1> kQwen35 = {kQwen35Words};
constexpr std::array<Regex, 1> kBloom = {kBloomWords};
constexpr std::array<Regex, 2> kViking = {kBloomWords, kDigit};
constexpr std::array<Regex, 1> kTekken = {kTekkenWords};
constexpr std::array<Regex, 6> kChameleon = {
    kChameleonSentinel, kChameleonImage, kChameleonSpaces, kDigit, kChameleonPunctuation,
    kGpt2Words};
constexpr std::array<Regex, 1> kGpt4o = {kGpt4oWords};
constexpr std::array<Regex, 2> kTinyAya = {kWordTriples, kGpt4oWords};
constexpr std::array<Regex, 1> kKimiK2 = {kKimiWords};
constexpr std::array<Regex, 2> kSuperBpe = {kDigitRun, kTripleBoundaries};
constexpr std::array<Regex, 1> kBailingMoe = {kBailingWords};
constexpr std::array<Regex, 1> kSeedCoder = {kSeedCoderWords};
constexpr std::array<Regex, 3> kAfmoe = {kTriples, kAfmoeScripts, kDeepSeek3Words};
constexpr std::array<Regex, 2> kLaguna = {kLines, kQwen2Words};
constexpr std::array<Regex, 1> kExaoneMoe = {kExaoneMoeWords};
constexpr std::array<Regex, 1> kGemma4 = {kLines};
constexpr std::array<Regex, 2> kMiniCpm5 = {kUpToThreeDigits, kMiniCpmWords};
constexpr std::array<Regex, 1> kWhitespace = {kNonSpaces};
constexpr std::array<Regex, 4> kDefault = {
    kDefaultPunctuation, kGpt2Words, kDigitRun, kThreeAsciiDigits};
// clang-format on

struct NamedRule {
  std::string_view name;
  PreTokenizerRule rule;
};

// Sorted by name, for the binary search.
constexpr auto kRules = std::to_array<NamedRule>({
    {"a.x-4.0", {.regexes = kGpt2}},
    {"afmoe", {.regexes = kAfmoe}},
    {"bailingmoe", {.regexes = kBailingMoe}},
    {"bailingmoe2", {.regexes = kBailingMoe}},
    {"bloom", {.regexes = kBloom}},
    {"chameleon", {.regexes = kChameleon, .add_bos = true}},
    {"chatglm-bpe", {.regexes = kLlama3}},
    {"codeshell", {.regexes = kStarCoder}},
    {"cohere2moe", {.regexes = kTinyAya}},
    {"command-r", {.regexes = kStarCoder}},
    {"dbrx", {.regexes = kLlama3}},
    {"deepseek-coder", {.regexes = kDeepSeekCoder}},
    {"deepseek-llm", {.regexes = kDeepSeekLlm}},
    {"deepseek-r1-qwen", {.regexes = kQwen2}},
    {"deepseek-v3", {.regexes = kDeepSeek3}},
    {"default", {.regexes = kDefault}},
    {"exaone", {.regexes = kStarCoder}},
    {"exaone-moe", {.regexes = kExaoneMoe}},
    {"exaone4", {.regexes = kGpt2}},
    {"f2llmv2", {.regexes = kQwen2}},
    {"falcon", {.regexes = kFalcon}},
    {"falcon-h1", {.regexes = kLlama3, .add_bos = true, .ignore_merges = true}},
    {"falcon3", {.regexes = kLlama3, .add_bos = true, .ignore_merges = true}},
    {"gemma4", {.regexes = kGemma4, .raw_utf8 = true, .escape_whitespaces = true}},
    {"gigachat", {.regexes = kGpt2}},
    {"glm4", {.regexes = kLlama3}},
    {"gpt-2", {.regexes = kGpt2}},
    {"gpt-4o", {.regexes = kGpt4o}},
    {"gpt3-finnish", {.regexes = kBloom}},
    {"granite-docling", {.regexes = kGpt2}},
    {"granite-embed-multi-311m",
     {.regexes = kGemma4, .raw_utf8 = true, .escape_whitespaces = true}},
    {"granite-embed-multi-97m", {.regexes = kGpt4o, .ignore_merges = true}},
    {"grok-2", {.regexes = kQwen2}},
    {"hunyuan", {.regexes = kQwen2}},
    {"hunyuan-dense", {.regexes = kDeepSeek3}},
    {"jais", {.regexes = kGpt2}},
    {"jais-2", {.regexes = kJais2}},
    {"jina-de", {.regexes = kGpt2}},
    {"jina-es", {.regexes = kGpt2}},
    {"jina-v1-en", {.regexes = kGpt2, .add_bos = true, .add_eos = true}},
    {"jina-v2-code", {.regexes = kGpt2, .add_bos = true, .add_eos = true}},
    {"jina-v2-de", {.regexes = kGpt2}},
    {"jina-v2-es", {.regexes = kGpt2}},
    {"jina-v5-nano", {.regexes = kLlama3, .add_bos = true, .ignore_merges = true}},
    {"joyai-llm", {.regexes = kDeepSeek3}},
    {"kanana2", {.regexes = kGpt4o}},
    {"kimi-k2", {.regexes = kKimiK2}},
    {"kormo", {.regexes = kQwen2}},
    {"laguna", {.regexes = kLaguna}},
    {"lfm2", {.regexes = kLlama3, .add_bos = true, .ignore_merges = true}},
    {"llada-moe", {.regexes = kBailingMoe}},
    {"llama-bpe", {.regexes = kLlama3, .add_bos = true, .ignore_merges = true}},
    {"llama-v3", {.regexes = kLlama3, .add_bos = true, .ignore_merges = true}},
    {"llama3", {.regexes = kLlama3, .add_bos = true, .ignore_merges = true}},
    {"llama4", {.regexes = kGpt4o}},
    {"megrez", {.regexes = kQwen2}},
    {"mellum", {.regexes = kGpt2}},
    {"mellum2", {.regexes = kStarCoder}},
    {"midm-2.0", {.regexes = kLlama3, .add_bos = true, .ignore_merges = true}},
    {"minerva-7b", {.regexes = kStarCoder}},
    {"minicpm5", {.regexes = kMiniCpm5, .ignore_merges = true}},
    {"minimax-m2", {.regexes = kGpt4o}},
    {"modern-bert", {.regexes = kGpt2}},
    {"mpt", {.regexes = kGpt2}},
    {"olmo", {.regexes = kGpt2}},
    {"phi-2", {.regexes = kGpt2}},
    {"pixtral", {.regexes = kLlama3, .add_bos = true, .ignore_merges = true}},
    {"poro-chat", {.regexes = kBloom}},
    {"qwen2", {.regexes = kQwen2}},
    {"qwen35", {.regexes = kQwen35}},
    {"refact", {.regexes = kStarCoder}},
    {"roberta-bpe", {.regexes = kGpt2, .add_bos = true, .add_eos = true}},
    {"sarvam-moe", {.regexes = kGemma4, .raw_utf8 = true, .escape_whitespaces = true}},
    {"seed-coder", {.regexes = kSeedCoder}},
    {"smaug-bpe", {.regexes = kLlama3}},
    {"smollm", {.regexes = kStarCoder}},
    {"solar-open", {.regexes = kQwen2}},
    {"stablelm2", {.regexes = kQwen2}},
    {"starcoder", {.regexes = kStarCoder}},
    {"superbpe", {.regexes = kSuperBpe}},
    {"talkie", {.regexes = kGpt4o}},
    {"tekken", {.regexes = kTekken, .add_bos = true, .ignore_merges = true}},
    {"tiny_aya", {.regexes = kTinyAya}},
    {"trillion", {.regexes = kGpt2}},
    {"viking", {.regexes = kViking}},
    {"whitespace", {.regexes = kWhitespace, .raw_utf8 = true}},
    {"youtu", {.regexes = kYoutu, .ignore_merges = true}},
});

}  // namespace

const PreTokenizerRule* find_pre_tokenizer(std::string_view name) {
  if (name.empty()) name = "default";
  const auto rule = std::ranges::lower_bound(kRules, name, {}, &NamedRule::name);
  return rule != kRules.end() && rule->name == name ? &rule->rule : nullptr;
}

std::span<const std::string_view> pre_tokenizer_names() {
  static constexpr auto kNames = [] {
    std::array<std::string_view, kRules.size()> names;
    std::ranges::transform(kRules, names.begin(), &NamedRule::name);
    return names;
  }();
  static_assert(std::ranges::is_sorted(kNames));
  return kNames;
}

}  // namespace inferno::token
