package obsprop.launcher;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class JavaHomesTest {
    /** No JDK installed on the machine that runs the test is this new. */
    private static final int MINIMUM = 900;
    private static final String MODULES = "java.base jdk.incubator.vector";

    @TempDir
    private Path folder;

    @Test
    void prefersTheRunningOne() throws IOException {
        Path running = jdk("running", "901.0.1", MODULES);
        Path home = jdk("home", "900", MODULES);
        assertEquals(Optional.of(running), find(Map.of("JAVA_HOME", home.toString()), running));
    }

    @Test
    void followsTheVariablesAndThePath() throws IOException {
        Path running = jdk("running", "17.0.15", MODULES);
        Path java = jdk("a", "902-ea", MODULES);
        Path jdk = jdk("b", "903", MODULES);
        Path path = jdk("c", "904", MODULES);
        String search = "/nowhere" + File.pathSeparator + path.resolve("bin");
        assertEquals(Optional.of(java), find(Map.of("JAVA_HOME", java.toString(), "JDK_HOME", jdk.toString()), running));
        assertEquals(Optional.of(jdk), find(Map.of("JAVA_HOME", "/nowhere", "JDK_HOME", jdk.toString(), "PATH", search), running));
        assertEquals(Optional.of(path.toRealPath()), find(Map.of("PATH", search), running));
    }

    @Test
    void takesTheOldestThatSufficesFromTheUsualPlaces() throws IOException {
        Path running = jdk("running", "17.0.15", MODULES);
        jdk("home/.sdkman/candidates/java/old", "899", MODULES);
        jdk("home/.sdkman/candidates/java/newest", "905", MODULES);
        Path right = jdk("home/.jdks/mac/Contents/Home", "901.2.3", MODULES);
        jdk("home/.jdks/poor", "900", "java.base");
        assertEquals(Optional.of(right), find(Map.of(), running));
    }

    @Test
    void findsNothingInBrokenOnes() throws IOException {
        Path running = jdk("running", "", MODULES);
        Files.createDirectories(folder.resolve("home/.jdks/empty/bin"));
        Path silent = jdk("home/.jdks/silent", "901", MODULES);
        Files.delete(silent.resolve("release"));
        assertEquals(Optional.empty(), find(Map.of("JAVA_HOME", "", "PATH", ""), running));
    }

    private Optional<Path> find(Map<String, String> environment, Path running) {
        return new JavaHomes(environment, running, folder.resolve("home")).find(MINIMUM, "jdk.incubator.vector");
    }

    private Path jdk(String name, String version, String modules) throws IOException {
        Path home = folder.resolve(name);
        Path java = JavaHomes.executable(home);
        Files.createDirectories(java.getParent());
        Files.createFile(java);
        java.toFile().setExecutable(true);
        Files.writeString(home.resolve("release"), "IMPLEMENTOR=\"x\"\nJAVA_VERSION=\"" + version + "\"\nMODULES=\"" + modules + "\"\n");
        return home;
    }
}
