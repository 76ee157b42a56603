package obsprop.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.Writer;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.function.Supplier;
import obsprop.cli.options.CommonOptions;
import obsprop.cli.output.Json;
import obsprop.cli.output.Report;
import org.junit.jupiter.api.Test;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

class MainTest {
    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();

    @Command(name = "run")
    private static final class Run implements Callable<Report> {
        @Mixin
        private CommonOptions common;
        private final Supplier<Report> body;

        Run(Supplier<Report> body) {
            this.body = body;
        }

        @Override
        public Report call() {
            common.note("working on " + common.device() + " with " + common.threads());
            return body.get();
        }
    }

    private record Answer(int answer) implements Report {
        @Override
        public JsonNode json() {
            return Json.object().put("answer", answer);
        }

        @Override
        public String text() {
            return "the answer is " + answer + "\n";
        }
    }

    @Test
    void aReportIsPrintedAsTextOrAsJson() {
        assertEquals(0, run(() -> new Answer(42), "run", "--threads", "2", "--device", "cpu-scalar"));
        assertEquals("the answer is 42\n", out.toString());
        assertEquals("obsprop: working on cpu-scalar with 2\n", err.toString());
        out.getBuffer().setLength(0);
        err.getBuffer().setLength(0);
        assertEquals(0, run(() -> new Answer(42), "run", "--json", "--quiet"));
        assertEquals("{\n  \"answer\" : 42\n}\n", out.toString());
        assertEquals("", err.toString());
    }

    @Test
    void badInputIsOneLineAndTwo() {
        assertEquals(2, run(() -> {
            throw new UsageException("the prompt is\nempty");
        }, "run", "--quiet"));
        assertEquals("obsprop: the prompt is empty\n", err.toString());
        assertEquals("", out.toString());
    }

    @Test
    void anythingElseIsOneLineAndOne() {
        assertEquals(1, run(() -> {
            throw new IllegalStateException("broken");
        }, "run", "--quiet"));
        assertEquals("obsprop: IllegalStateException: broken (OBSPROP_DEBUG=1 shows where)\n", err.toString());
        assertEquals(1, run(() -> {
            throw new OutOfMemoryError();
        }, "run", "--quiet"));
        assertTrue(err.toString().endsWith("OBSPROP_JVM_OPTS=-Xmx8g\n"), err.toString());
        assertEquals("", out.toString());
    }

    @Test
    void wrongUsageIsOneLineAndTwo() {
        for (List<String> wrong : List.of(List.<String>of(), List.of("nothing"), List.of("run", "--nothing"), List.of("run", "more"),
                List.of("run", "--device", "tpu"), List.of("run", "--threads", "x"), List.of("run", "--threads", "0"),
                List.of("run", "--threads", "1000000"),
                List.of("run", "--model"), List.of("run", "--json", "--json"))) {
            err.getBuffer().setLength(0);
            assertEquals(2, run(() -> new Answer(42), wrong.toArray(String[]::new)), wrong.toString());
            assertTrue(err.toString().matches("obsprop: .+\\n"), err.toString());
            assertEquals("", out.toString());
        }
    }

    @Test
    void aValueMayLookLikeAnOption() {
        for (List<String> written : List.of(List.of("--prompt=--json"), List.of("--prompt=-h"), List.of("--prompt=-hello"),
                List.of("--prompt", "-hello"), List.of("--prompt", "-1"))) {
            List<String> arguments = new ArrayList<>(List.of("trace", "--observable", "#5"));
            arguments.addAll(written);
            Invocation run = Invocation.of(arguments.toArray(String[]::new));
            assertEquals(0, run.code(), written + run.err());
            assertTrue(run.out().contains("at token "), run.out());
        }
        for (List<String> forgotten : List.of(List.of("trace", "--prompt", "--json"), List.of("trace", "--out", "--model=x"),
                List.of("weights", "train", "--out", "--quiet"))) {
            Invocation run = Invocation.of(forgotten.toArray(String[]::new));
            assertEquals(2, run.code());
            String option = forgotten.get(forgotten.size() - 2) + "=" + forgotten.getLast();
            assertTrue(run.err().matches("obsprop: .*write " + option + " .*\\n"), run.err());
        }
    }

    @Test
    void aResultThatCannotBeWrittenIsAFailure() {
        Writer full = new Writer() {
            @Override
            public void write(char[] buffer, int offset, int length) throws IOException {
                throw new IOException("disk full");
            }

            @Override
            public void flush() {
            }

            @Override
            public void close() {
            }
        };
        assertEquals(1, main(() -> new Answer(42), new PrintWriter(full)).run(List.of("run", "--quiet")));
        assertEquals("obsprop: the result could not be written to stdout\n", err.toString());
    }

    private int run(Supplier<Report> body, String... arguments) {
        return main(body, new PrintWriter(out)).run(List.of(arguments));
    }

    private Main main(Supplier<Report> body, PrintWriter to) {
        return new Main(Commands.line(List.of()).addSubcommand(new Run(body)), to, new PrintWriter(err), false);
    }
}
