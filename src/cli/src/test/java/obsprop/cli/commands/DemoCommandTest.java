package obsprop.cli.commands;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import obsprop.cli.Invocation;
import org.junit.jupiter.api.Test;

class DemoCommandTest {
    @Test
    void theModelKnowsTheNamesAndTheTwoAnswersAgree() {
        JsonNode document = Invocation.of("demo", "--json").json();
        assertTrue(document.get("clean").asDouble() > 3, document.get("clean")::toString);
        assertTrue(document.get("corrupted").asDouble() < -3, document.get("corrupted")::toString);
        JsonNode heads = document.get("heads");
        assertEquals(32, heads.size());
        // By chance the three strongest of 32 heads would all be among the eight largest norms in 1.1 % of cases.
        for (int i = 0; i < 3; i++) {
            assertTrue(heads.get(i).get("norm_rank").asInt() <= 8, heads.get(i)::toString);
        }
    }

    @Test
    void takesNoOtherModel() {
        Invocation refused = Invocation.of("demo", "--model", "anything");
        assertEquals(2, refused.code());
        assertEquals(1, refused.err().lines().count(), refused.err());
        assertFalse(Invocation.of("demo", "--help").out().contains("--model"));
    }
}
