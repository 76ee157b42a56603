package obsprop.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The packaged jar as a user starts it, on the oldest Java that it promises to run on where there is one. */
class LauncherIT {
    private static final Path JVMS = Path.of("/usr/lib/jvm");

    @TempDir
    private Path folder;

    private record Ended(int code, String out, String err) {
    }

    @Test
    void startsOnAnOldJava() throws Exception {
        Ended ended = run(java17(), Map.of(), "--version");
        assertEquals(0, ended.code(), ended.err());
        assertTrue(ended.out().matches("obsprop \\S+ on Java (2[5-9]|[3-9]\\d).*\\n"), ended.out());
        assertEquals("", ended.err(), "no warning of the JVM reaches the user");
    }

    @Test
    void startsOnTheJavaThatRunsTheTests() throws Exception {
        Ended ended = run(Path.of(System.getProperty("java.home")), Map.of(), "--help");
        assertEquals(0, ended.code(), ended.err());
        assertTrue(ended.out().startsWith("Usage: obsprop "), ended.out());
        assertEquals("", ended.err());
    }

    @Test
    void aWrongOptionIsOneLineAndTwo() throws Exception {
        Ended ended = run(running(), Map.of(), "--\u2581wrong\"option");
        assertEquals(2, ended.code());
        assertEquals("", ended.out());
        assertEquals("obsprop: Unknown option: '--\u2581wrong\"option' (see obsprop --help)\n", ended.err());
    }

    @Test
    void lettersSurviveALocaleWithoutThem() throws Exception {
        Ended ended = run(running(), Map.of("LC_ALL", "C"), "--\u2581wrong");
        assertEquals("obsprop: Unknown option: '--\u2581wrong' (see obsprop --help)\n", ended.err());
    }

    @Test
    void theMainJobRunsInAnyLocale() throws Exception {
        Ended ended = run(running(), Map.of("LC_ALL", "C"), "heads", "--model", Shared.path("models/stories260k").toString(),
                "--observable", "\"\u2581she\" - \"\u2581he\"");
        assertEquals(0, ended.code(), ended.err());
        assertTrue(ended.out().contains("\"\u2581she\"  358       1\n"), ended.out());
        assertEquals("", ended.err());
    }

    @Test
    void theStartupCacheIsUsedBesideItsJarOnly() throws Exception {
        Map<String, String> tell = Map.of("OBSPROP_JVM_OPTS", "-Xlog:class+load");
        Ended ended = run(running(), tell, "--version");
        assertTrue(mainClassLine(ended).contains("shared objects file"), "the cache is not used");
        assertTrue(classLine("picocli.CommandLine", ended).contains("shared objects file"), "the cache lacks picocli");
        Path copy = Files.copy(Path.of(System.getProperty("obsprop.jar")), folder.resolve("copy.jar"));
        Files.copy(Path.of(System.getProperty("obsprop.jar")).resolveSibling("obsprop.jsa"), folder.resolve("obsprop.jsa"));
        Process process = builder(running(), tell, copy, "--version").start();
        String out = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals("", new String(process.getErrorStream().readAllBytes(), StandardCharsets.UTF_8));
        assertEquals(0, process.waitFor());
        assertTrue(mainClassLine(new Ended(0, out, "")).endsWith("copy.jar"), "a cache of another jar is used");
    }

    private static String mainClassLine(Ended ended) {
        return classLine("obsprop.cli.Main", ended);
    }

    private static String classLine(String name, Ended ended) {
        assertEquals(0, ended.code(), ended.err());
        return ended.out().lines().filter(line -> line.contains(" " + name + " source:")).findFirst().orElseThrow();
    }

    @Test
    void furtherOptionsReachTheJvm() throws Exception {
        Ended ended = run(running(), Map.of("OBSPROP_JVM_OPTS", " -Dx=y  -Xlog:arguments "), "--version");
        assertTrue(ended.out().contains("-Dx=y -Xlog:arguments"), ended.out());
    }

    @Test
    void aKilledLauncherLeavesNothingBehind() throws Exception {
        Process process = builder(running(), Map.of("OBSPROP_JVM_OPTS",
                "-agentlib:jdwp=transport=dt_socket,server=y,suspend=y,address=127.0.0.1:0"), "--version").start();
        // The child stands still before its first class: only the launcher can end it.
        process.getInputStream().read();
        List<ProcessHandle> children = process.children().toList();
        assertEquals(1, children.size());
        process.toHandle().destroy();
        assertTrue(process.waitFor(20, TimeUnit.SECONDS));
        assertEquals(143, process.exitValue());
        assertTrue(children.getFirst().onExit().orTimeout(20, TimeUnit.SECONDS).handle((child, late) -> late == null).get());
    }

    @Test
    void whatIsHalfWrittenGoesWithASignal() throws Exception {
        Path results = Files.createDirectory(folder.resolve("results"));
        List<String> trace = new ArrayList<>(List.of("trace", "--out", results.resolve("out.safetensors").toString(),
                "--token-ids", "1" + ",2".repeat(127)));
        for (int id = 0; id < 300; id++) {
            trace.addAll(List.of("--observable", "#" + id));
        }
        for (List<String> command : List.of(trace, List.of("weights", "corpus", "--out", results.resolve("corpus").toString()))) {
            List<Predicate<ProcessHandle>> ways = List.of(ProcessHandle::destroy, ProcessHandle::destroyForcibly);
            for (Predicate<ProcessHandle> end : ways) {
                Process process = builder(running(), Map.of(), command.toArray(String[]::new)).start();
                while (process.isAlive() && names(results).isEmpty()) {
                    Thread.onSpinWait();
                }
                List<ProcessHandle> children = process.children().toList();
                assertTrue(end.test(process.toHandle()), command.getFirst());
                assertTrue(process.waitFor(60, TimeUnit.SECONDS));
                children.getFirst().onExit().get(60, TimeUnit.SECONDS);
                assertEquals(List.of(), names(results));
            }
        }
    }

    @Test
    void aBorrowedLibraryGoesInTheEnd() throws Exception {
        Assumptions.assumeTrue(Files.isDirectory(Path.of("/proc/self")), "no folder that can never be written");
        Path temporary = Files.createDirectory(folder.resolve("temporary"));
        Ended ended = run(running(), Map.of("XDG_CACHE_HOME", "/proc/nope", "OBSPROP_JVM_OPTS", "-Djava.io.tmpdir=" + temporary),
                "lens", "--observable", "\" she\"");
        assertEquals(0, ended.code(), ended.err());
        assertEquals(List.of(), names(temporary));
    }

    private static List<String> names(Path folder) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.map(file -> file.getFileName().toString()).toList();
        }
    }

    private static Path running() {
        return Path.of(System.getProperty("java.home"));
    }

    private static Path java17() throws IOException {
        Assumptions.assumeTrue(Files.isDirectory(JVMS), "no " + JVMS + " to look for a Java 17 in");
        try (Stream<Path> homes = Files.list(JVMS)) {
            return homes.filter(home -> isJava17(home.resolve("release"))).findFirst()
                    .orElseGet(() -> Assumptions.abort("no Java 17 in " + JVMS));
        }
    }

    private static boolean isJava17(Path release) {
        try {
            return Files.exists(release) && Files.readString(release).contains("JAVA_VERSION=\"17");
        } catch (IOException e) {
            return false;
        }
    }

    private Ended run(Path home, Map<String, String> environment, String... arguments) throws Exception {
        Path out = folder.resolve("out");
        Path err = folder.resolve("err");
        Process process = builder(home, environment, arguments).redirectOutput(out.toFile()).redirectError(err.toFile()).start();
        assertTrue(process.waitFor(60, TimeUnit.SECONDS));
        return new Ended(process.exitValue(), Files.readString(out), Files.readString(err));
    }

    private static ProcessBuilder builder(Path home, Map<String, String> environment, String... arguments) {
        return builder(home, environment, Path.of(System.getProperty("obsprop.jar")), arguments);
    }

    private static ProcessBuilder builder(Path home, Map<String, String> environment, Path jar, String... arguments) {
        List<String> command = new ArrayList<>(List.of(home.resolve("bin/java").toString(), "-jar", jar.toString()));
        command.addAll(List.of(arguments));
        ProcessBuilder builder = new ProcessBuilder(command);
        builder.environment().put("JAVA_HOME", System.getProperty("java.home"));
        builder.environment().putAll(environment);
        return builder;
    }
}
