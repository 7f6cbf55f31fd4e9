// SPDX-License-Identifier: BSD-3-Clause
//
// Predicts every word of a text from the words before it: logits over the whole vocabulary, counted from the text, and
// tarn::softmax over one row per word, at several temperatures; one of the rows in other ways as well.
#include "next_word/comparison.hpp"
#include "next_word/plain_softmax.hpp"
#include "next_word/text.hpp"
#include "next_word/vocabulary.hpp"
#include "next_word/weightings.hpp"
#include "next_word/word_model.hpp"

#include <tarn/range.hpp>
#include <tarn/softmax.hpp>
#include <tarn/top_k.hpp>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <iterator>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace next_word { namespace {

constexpr float temperatures[] = {0.5f, 1.0f, 2.0f};
constexpr std::size_t temperature_count = std::size(temperatures);

// Logits are made and normalised in batches of at most 64 MB, whatever the length of the text.
constexpr std::size_t batch_elements = std::size_t{16} << 20;

struct corpus {
    std::string path;
    std::size_t words_in_file;
    std::vector<std::string> names;
    vocabulary known; // the words of the counted part
    std::vector<int> words;
    std::size_t counted; // words before this one are counted, the rest is held out
};

corpus read_corpus(const std::string& path, std::size_t limit) {
    std::vector<std::string> names = split_words(read_text(path));
    const std::size_t words_in_file = names.size();
    names.resize(std::min(names.size(), limit));
    if (names.empty()) {
        throw std::runtime_error(path + " has no words");
    }
    if (names.size() == 1) {
        throw std::runtime_error(path + " has a single word: there is no next one to predict");
    }
    const std::size_t counted = names.size() - std::max<std::size_t>(1, names.size() / 10);
    vocabulary known;
    std::for_each_n(names.begin(), counted, [&](const std::string& name) { known.add(name); });
    std::vector<int> words;
    words.reserve(names.size());
    for (const std::string& name : names) {
        words.push_back(known[name]);
    }
    return {path, words_in_file, std::move(names), std::move(known), std::move(words), counted};
}

// Logits of words [begin, end): one row per word, one column per entry of the vocabulary.
void write_logits(const corpus& text, const word_model& model, std::size_t begin, std::size_t end, float* logits) {
    for (std::size_t i = begin; i < end; ++i) {
        model.write_logits(text.words, i, logits);
        logits += text.known.size();
    }
}

// A place in the text, the words that come next most likely, and how likely each is at each temperature.
struct prediction {
    std::size_t position;
    std::vector<int> words;
    std::vector<float> probabilities[temperature_count];
};

// Places of the held-out part, one in each third: where the pair of words before it left most choices.
std::vector<prediction> choose_places(const corpus& text, const word_model& model) {
    constexpr std::size_t parts = 3;
    const auto starts_with_letter = [&](std::size_t i) {
        const char c = text.known.name(text.words[i])[0];
        return (c >= 'a' && c <= 'z') || static_cast<unsigned char>(c) >= 0x80;
    };
    std::vector<prediction> places;
    const std::size_t held_out = text.words.size() - text.counted;
    for (std::size_t part = 0; part < parts; ++part) {
        std::size_t best = 0, most = 1;
        const std::size_t begin = text.counted + held_out * part / parts;
        const std::size_t end = text.counted + held_out * (part + 1) / parts;
        for (std::size_t i = begin; i < end; ++i) {
            const bool is_new = std::none_of(places.begin(), places.end(), [&](const prediction& p) {
                return text.words[p.position - 1] == text.words[i - 1];
            });
            const std::size_t choices = model.choices(text.words, i);
            if (choices > most && is_new && starts_with_letter(i - 2) && starts_with_letter(i - 1)) {
                best = i;
                most = choices;
            }
        }
        if (best > 0) {
            places.push_back({best, {}, {}});
        }
    }
    if (places.empty()) {
        places.push_back({text.words.size() - 1, {}, {}});
    }
    return places;
}

// The entries of the vocabulary with the greatest logits.
std::vector<int> five_most_likely(const float* logits, int vocabulary_size) {
    std::vector<int> words(static_cast<std::size_t>(std::min(5, vocabulary_size)));
    tarn::top_k(tarn::make_view(logits, vocabulary_size), tarn::none, words);
    return words;
}

// Sums of -log(probability of the word that really came).
struct surprise {
    double counted[temperature_count] = {};
    double held_out[temperature_count] = {};
};

// Predicts the whole text, batch by batch; fills in the places of `shown`.
surprise predict(const corpus& text, const word_model& model, std::size_t batch_rows, std::vector<float>& logits,
                 std::vector<float>& probabilities, std::vector<prediction>& shown) {
    surprise sum;
    const auto columns = static_cast<std::size_t>(text.known.size());
    for (std::size_t begin = 0; begin < text.words.size(); begin += batch_rows) {
        const std::size_t end = std::min(begin + batch_rows, text.words.size());
        write_logits(text, model, begin, end, logits.data());
        for (std::size_t t = 0; t < temperature_count; ++t) {
            tarn::softmax_options options;
            options.scale = 1 / temperatures[t];
            tarn::softmax(tarn::make_view(logits.data(), end - begin, columns),
                          tarn::make_view(probabilities.data(), end - begin, columns), options);

            for (std::size_t i = begin; i < end; ++i) {
                const float* row = &probabilities[(i - begin) * columns];
                (i < text.counted ? sum.counted : sum.held_out)[t] -= std::log(static_cast<double>(row[text.words[i]]));
            }
            for (prediction& p : shown) {
                if (p.position >= begin && p.position < end) {
                    const std::size_t row = (p.position - begin) * columns;
                    p.words = five_most_likely(&logits[row], text.known.size());
                    for (int word : p.words) {
                        p.probabilities[t].push_back(probabilities[row + static_cast<std::size_t>(word)]);
                    }
                }
            }
        }
    }
    return sum;
}

double megabytes(std::size_t floats) { return static_cast<double>(floats * sizeof(float)) * 1e-6; }

void print_text(const corpus& text, std::size_t batch_rows) {
    const std::size_t n = text.words.size();
    const auto columns = static_cast<std::size_t>(text.known.size());
    const auto new_words = std::count(text.words.begin(), text.words.end(), vocabulary::new_word);
    std::printf("text        %s: %zu words and punctuation marks\n", text.path.c_str(), text.words_in_file);
    if (n < text.words_in_file) {
        std::printf("            only the first %zu are read (--words)\n", n);
    }
    std::printf("counted     the first %zu: which word came after which two\n", text.counted);
    std::printf("held out    the last %zu: only predicted; %td of them are new words\n", n - text.counted, new_words);
    std::printf("vocabulary  %zu entries: the counted words, and \"%s\" for all others\n", columns,
                text.known.name(vocabulary::new_word).c_str());
    std::printf("logits      %zu x %zu floats (%.1f MB): a row per word, a column per entry\n", n, columns,
                megabytes(n * columns));
    if (batch_rows < n) {
        std::printf("            in batches of %zu rows (%.1f MB)\n", batch_rows, megabytes(batch_rows * columns));
    }
}

// Columns on a screen: the bytes that begin a character of UTF-8.
int width(const std::string& s) {
    return static_cast<int>(std::count_if(s.begin(), s.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

void print_predictions(const corpus& text, const std::vector<prediction>& predictions) {
    std::printf("\nThe most likely next words, at places of the held-out part\n"
                "(softmax of a row of logits / T: a low temperature T favours the likely words,\n"
                "a high one evens them out)\n");
    for (const prediction& p : predictions) {
        std::string context;
        for (std::size_t i = p.position - std::min<std::size_t>(2, p.position); i < p.position; ++i) {
            context += (context.empty() ? "" : " ") + text.names[i];
        }
        const char* really = text.names[p.position].c_str();
        std::printf("\n    after \"%s\" (here the text goes on: \"%s\"%s)\n", context.c_str(), really,
                    text.words[p.position] == vocabulary::new_word ? ", a new word" : "");
        std::printf("%24s", "");
        for (float t : temperatures) {
            std::printf("   T = %3.1f", static_cast<double>(t));
        }
        for (std::size_t i = 0; i < p.words.size(); ++i) {
            const std::string& name = text.known.name(p.words[i]);
            std::printf("\n      %s%*s", name.c_str(), std::max(0, 18 - width(name)), "");
            for (const std::vector<float>& probabilities : p.probabilities) {
                std::printf("%10.3f", static_cast<double>(probabilities[i]));
            }
        }
        std::printf("\n");
    }
}

void print_perplexity(const corpus& text, const surprise& sum) {
    const auto counted = static_cast<double>(text.counted);
    const double held_out = static_cast<double>(text.words.size()) - counted;
    std::printf("\nPerplexity: the model is as unsure of the next word as among this many equally\n"
                "likely ones (held out: what it is worth; counted: what it has seen already)\n\n"
                "                 held out   counted\n");
    for (std::size_t t = 0; t < temperature_count; ++t) {
        std::printf("      T = %3.1f   %10.1f%10.1f\n", static_cast<double>(temperatures[t]),
                    std::exp(sum.held_out[t] / held_out), std::exp(sum.counted[t] / counted));
    }
}

void print_comparison(const comparison& c, std::size_t rows, std::size_t columns) {
    constexpr const char* tiers[] = {"SSE2", "AVX2", "AVX-512"};
    const auto elements = static_cast<double>(rows * columns);
    const auto print = [&](const std::string& name, const measurement& m) {
        std::printf("      %-24s%9.4g%12.3f%15.1e\n", name.c_str(), m.seconds * 1e3, m.seconds * 1e9 / elements,
                    m.largest_error);
    };
    std::printf("\nSoftmax of %zu x %zu logits in one thread (medians of %d runs each, in turns;\n"
                "plain: maximum, exp and sum, division, by %s)\n\n"
                "                                     ms    ns/logit  largest error\n",
                rows, columns, c.runs, plain_softmax_flags);
    print(std::string("tarn::softmax, ") + tiers[static_cast<int>(tarn::best_tier())], c.tarn);
    print("three plain loops", c.plain);
    std::printf("\ntarn takes %.2f of the time of the plain loops; the largest difference between\n"
                "a probability of one and of the other is %.1e\n",
                c.tarn.seconds / c.plain.seconds, c.largest_difference);
}

// One row of logits in five ways, for its ten likeliest words.
void print_weightings(const corpus& text, const word_model& model, std::size_t position, const std::string& table) {
    std::vector<float> logits(static_cast<std::size_t>(text.known.size()));
    model.write_logits(text.words, position, logits.data());
    const std::vector<weighting> ways = weigh(logits);
    std::vector<int> words(std::min<std::size_t>(10, logits.size()));
    tarn::top_k(logits, tarn::none, words);

    std::printf("\nThe first of these rows in other ways: sparse softmax shares all among the ten likeliest,\n"
                "softpick leaves out what is no likelier than a word drawn blindly, and need not add up to 1\n\n%24s",
                "");
    for (const weighting& w : ways) {
        std::printf("%16s", w.name.c_str());
    }
    for (int word : words) {
        const std::string& name = text.known.name(word);
        std::printf("\n      %s%*s", name.c_str(), std::max(0, 18 - width(name)), "");
        for (const weighting& w : ways) {
            std::printf("%16.4f", static_cast<double>(w.weights[static_cast<std::size_t>(word)]));
        }
    }
    std::printf("\n      %-18s", "words above 0");
    for (const weighting& w : ways) {
        std::printf("%16td", std::count_if(w.weights.begin(), w.weights.end(), [](float v) { return v > 0; }));
    }
    std::printf("\n      %-18s", "sum");
    for (const weighting& w : ways) {
        std::printf("%16.4f", std::accumulate(w.weights.begin(), w.weights.end(), 0.0));
    }
    std::printf("\n");
    if (!table.empty()) {
        std::vector<std::string> names;
        for (int i = 0; i < text.known.size(); ++i) {
            names.push_back(text.known.name(i));
        }
        write_table(table, names, logits, ways);
    }
}

void run(const std::string& path, std::size_t limit, const std::string& table) {
    const corpus text = read_corpus(path, limit);
    const word_model model(text.words, text.counted, text.known.size());
    const auto columns = static_cast<std::size_t>(text.known.size());
    const std::size_t batch_rows = std::clamp<std::size_t>(batch_elements / columns, 1, text.words.size());
    print_text(text, batch_rows);
    std::fflush(stdout);

    std::vector<float> logits(batch_rows * columns), probabilities(batch_rows * columns);
    std::vector<prediction> shown = choose_places(text, model);
    const surprise sum = predict(text, model, batch_rows, logits, probabilities, shown);
    print_predictions(text, shown);
    print_weightings(text, model, shown.front().position, table);
    print_perplexity(text, sum);
    std::fflush(stdout);

    std::vector<float> plain(batch_rows * columns);
    write_logits(text, model, 0, batch_rows, logits.data());
    const auto rows = static_cast<std::ptrdiff_t>(batch_rows);
    const comparison both = compare(logits.data(), probabilities.data(), plain.data(), rows, text.known.size());
    print_comparison(both, batch_rows, columns);
}

} // namespace
} // namespace next_word

int main(int argc, char** argv) {
    std::string path = "/usr/share/common-licenses/GPL";
    std::size_t limit = 200000;
    CLI::App app("Predicts every word of a text from the two before it, with tarn::softmax over the whole vocabulary.");
    app.add_option("text", path, "a text file in any language that puts spaces between words")->capture_default_str();
    app.add_option("--words", limit, "read at most this many words of it")
        ->check(CLI::Range(std::size_t{2}, std::size_t{1} << 30))
        ->capture_default_str();
    std::string table;
    app.add_option("--table", table, "write the weights of one row to this file, for next_word/plot.py");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
        return app.exit(e) == 0 ? 0 : 2;
    }
    try {
        next_word::run(path, limit, table);
    } catch (const std::exception& e) {
        std::fprintf(stderr, "next_word: %s\n", e.what());
        return 1;
    }
}
