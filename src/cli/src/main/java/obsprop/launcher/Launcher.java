package obsprop.launcher;

import java.io.File;
import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.StringTokenizer;
import java.util.concurrent.TimeUnit;

/**
 * The jar's main class, for Java 17 and newer: starts {@code obsprop.cli.Main} on a JDK 25 or newer, with the Vector
 * module and native access, on the same stdin and stdout, and ends with its exit code.
 *
 * <p>A signal that ends this process ends the child too, and the child watches this process, so that not even SIGKILL
 * leaves it behind. OBSPROP_JVM_OPTS holds further options for the child's JVM, separated by blanks.
 */
public final class Launcher {
    private static final int MINIMUM = 25;
    private static final String VECTOR = "jdk.incubator.vector";
    private static final String MAIN = "obsprop.cli.Main";
    /** What the build leaves beside the jar so that a JVM starts faster. */
    private static final String CACHE = "obsprop.jsa";
    private static final long SECONDS_TO_END = 5;

    private Launcher() {
    }

    /** Runs the command line {@code arguments} in the child. */
    public static void main(String[] arguments) {
        Map<String, String> environment = System.getenv();
        Optional<Path> home = new JavaHomes(environment, Path.of(System.getProperty("java.home")),
                Path.of(System.getProperty("user.home"))).find(MINIMUM, VECTOR);
        if (home.isEmpty()) {
            System.err.println("obsprop: needs a JDK " + MINIMUM + " or newer and found none (this is Java "
                    + Runtime.version().feature() + "): install one, for example from https://adoptium.net,"
                    + " or set JAVA_HOME to it");
            System.exit(1);
        }
        try {
            System.exit(run(command(home.get(), jar(), environment, new Arguments(List.of(arguments)).asWritten())));
        } catch (IOException | URISyntaxException e) {
            System.err.println("obsprop: cannot start " + JavaHomes.executable(home.get()) + ": " + e.getMessage());
            System.exit(1);
        } catch (InterruptedException e) {
            System.exit(1);
        }
    }

    private static Path jar() throws URISyntaxException {
        return Path.of(Launcher.class.getProtectionDomain().getCodeSource().getLocation().toURI());
    }

    private static List<String> command(Path home, Path jar, Map<String, String> environment, Arguments arguments)
            throws IOException {
        List<String> command = new ArrayList<>(List.of(JavaHomes.executable(home).toString(),
                "--add-modules", VECTOR, "--enable-native-access=ALL-UNNAMED",
                // The data lies off the heap: the collector with the least to start is the right one.
                "-XX:+UseSerialGC", "-XX:-UsePerfData",
                // Much of what is compiled by default does not pay in a short command, and a long one does not notice.
                "-XX:CompileThresholdScaling=2",
                // But the kernels: until they are compiled their vectors are objects, and everything waits. For whole calls
                // rather than in the middle of their first loop, which would be compiling them twice.
                "-XX:CompileCommand=quiet", "-XX:CompileCommand=CompileThresholdScaling,obsprop.kernel.cpu.*::*,0.05",
                "-XX:Tier3BackEdgeThreshold=600000", "-XX:Tier4BackEdgeThreshold=4000000",
                // The JVM would put its warnings on stdout, among the results.
                "-Xlog:disable", "-Xlog:all=warning,aot*=off,cds*=off:stderr",
                "-Dobsprop.launcher=" + pid(),
                "-Dobsprop.terminal=" + stderrIsTerminal()));
        Path cache = jar.resolveSibling(CACHE);
        if (Files.exists(cache)) {
            // The JVM takes it only where JVM and jar are those that it was made with.
            command.add("-XX:SharedArchiveFile=" + cache);
        }
        StringTokenizer options = new StringTokenizer(environment.getOrDefault("OBSPROP_JVM_OPTS", ""));
        while (options.hasMoreTokens()) {
            command.add(options.nextToken());
        }
        if (!arguments.plain()) {
            command.add("-D" + Arguments.PROPERTY + "=" + arguments.encoded());
        }
        command.addAll(List.of("-cp", jar.toString(), MAIN));
        if (arguments.plain()) {
            command.addAll(arguments.list());
        }
        return command;
    }

    /** By the name that Linux gives this process, so that Java sets up what it knows of processes while the child starts. */
    private static String pid() throws IOException {
        String name = new File("/proc/self").getCanonicalFile().getName();
        return name.equals("self") ? Long.toString(ProcessHandle.current().pid()) : name;
    }

    /** The child's stderr is a pipe to here, so only this process can tell. */
    private static boolean stderrIsTerminal() {
        if (File.separatorChar == '\\') {
            return System.console() != null;
        }
        try {
            // Where the system names it, without another process.
            String name = Files.readSymbolicLink(Path.of("/proc/self/fd/2")).toString();
            return name.startsWith("/dev/pts/") || name.startsWith("/dev/tty") || name.equals("/dev/console");
        } catch (IOException | UnsupportedOperationException e) {
            return shellSaysTerminal();
        }
    }

    private static boolean shellSaysTerminal() {
        try {
            return new ProcessBuilder("/bin/sh", "-c", "test -t 2").inheritIO().start().waitFor() == 0;
        } catch (IOException e) {
            return false;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return false;
        }
    }

    private static int run(List<String> command) throws IOException, InterruptedException {
        ProcessBuilder builder = new ProcessBuilder(command)
                .redirectInput(ProcessBuilder.Redirect.INHERIT)
                .redirectOutput(ProcessBuilder.Redirect.INHERIT);
        if (Arguments.asciiOnly()) {
            // So that the child can open files whose names are not ASCII.
            builder.environment().put("LC_ALL", "C.UTF-8");
        }
        Process child = builder.start();
        Runtime.getRuntime().addShutdownHook(new Thread("end-child") {
            @Override
            public void run() {
                end(child);
            }
        });
        try {
            new WarningFilter(System.err).copy(child.getErrorStream());
        } catch (IOException e) {
            // Nobody reads our stderr any more, or we are being ended: neither changes what the child's result is.
            child.getErrorStream().close();
        }
        return child.waitFor();
    }

    private static void end(Process child) {
        // By its handle: Process.destroy would also close the pipe that carries the child's last words.
        child.toHandle().destroy();
        try {
            if (!child.waitFor(SECONDS_TO_END, TimeUnit.SECONDS)) {
                child.destroyForcibly();
            }
        } catch (InterruptedException e) {
            child.destroyForcibly();
        }
    }
}
