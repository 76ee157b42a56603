package obsprop.cli.commands;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import obsprop.analysis.runs.TokenPair;
import obsprop.cli.UsageException;
import obsprop.cli.options.CommonOptions;
import obsprop.cli.options.PromptPairOptions;
import obsprop.cli.output.Json;
import obsprop.cli.session.Session;
import obsprop.cli.tokens.Prompt;

/** Prompt pairs in a {@code .jsonl} file: {@code {"clean": "...", "corrupted": "..."}} a line. */
record PairFile(Path file, PromptPairOptions prompts, CommonOptions common) {
    /**
     * All pairs as tokens.
     *
     * @throws UsageException where the file cannot be read, or a line is no pair of prompts of equal length
     */
    List<TokenPair> read(Session session) {
        List<TokenPair> pairs = new ArrayList<>();
        int number = 0;
        for (String line : lines()) {
            number++;
            if (!line.isBlank()) {
                pairs.add(pair(line, "--pairs: " + file + ", line " + number, session));
            }
        }
        if (pairs.isEmpty()) {
            throw new UsageException("--pairs: " + file + " holds no pair: write {\"clean\": ..., \"corrupted\": ...} a line");
        }
        return pairs;
    }

    private List<String> lines() {
        try {
            return Files.readAllLines(file);
        } catch (IOException e) {
            throw new UsageException("--pairs: " + file + " cannot be read: name a .jsonl file in UTF-8", e);
        }
    }

    private TokenPair pair(String line, String where, Session session) {
        try {
            JsonNode object = Json.read(line);
            int[] clean = prompt(object.path("clean"), where, session);
            int[] corrupted = prompt(object.path("corrupted"), where, session);
            if (clean.length != corrupted.length) {
                throw new UsageException(where + ": the clean prompt has " + clean.length + " tokens and the corrupted one "
                        + corrupted.length + ": path patching needs prompts of equal length");
            }
            return new TokenPair(clean, corrupted);
        } catch (JsonProcessingException e) {
            throw new UsageException(where + ": is no JSON", e);
        }
    }

    private int[] prompt(JsonNode text, String where, Session session) {
        if (!text.isTextual()) {
            throw new UsageException(where + ": needs the fields \"clean\" and \"corrupted\", each a text");
        }
        Prompt prompt = prompts.clean().text(
                text.asText(), where, session.vocabulary(), session.config().maxPositions(), common);
        return prompt.array();
    }
}
