package obsprop.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.List;

/** What a command line, run in process, left behind. */
public record Invocation(int code, String out, String err) {
    /** Runs {@code arguments} as the jar would. */
    public static Invocation of(String... arguments) {
        StringWriter out = new StringWriter();
        StringWriter err = new StringWriter();
        int code = new Main(Commands.line(List.of(arguments)), new PrintWriter(out), new PrintWriter(err), false)
                .run(List.of(arguments));
        return new Invocation(code, out.toString(), err.toString());
    }

    /** The document on stdout, after success. */
    public JsonNode json() {
        if (code != 0) {
            throw new AssertionError("exit code " + code + ": " + err);
        }
        try {
            return new JsonMapper().readTree(out);
        } catch (JsonProcessingException e) {
            throw new AssertionError("no JSON: " + out, e);
        }
    }
}
