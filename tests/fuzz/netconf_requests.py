"""Good requests of every operation, for mutation."""

from __future__ import annotations

from nbi.protocol.names import BASE_NS

_SUBSCRIBER = "urn:aether:yang:aether-subscriber"
_SHAPING = "urn:aether:yang:aether-shaping"
_YANG = "urn:ietf:params:xml:ns:yang:"
_DATA = f"xmlns='{_YANG}ietf-netconf-nmda' xmlns:ds='{_YANG}ietf-datastores' xmlns:or='{_YANG}ietf-origin'"
_SN = f"xmlns='{_YANG}ietf-subscribed-notifications' xmlns:yp='{_YANG}ietf-yang-push'"
_WITH_DEFAULTS = f"xmlns='{_YANG}ietf-netconf-with-defaults'"
_PREFIXES = f"xmlns:s='{_SUBSCRIBER}' xmlns:h='{_SHAPING}' xmlns:b='urn:aether:yang:aether-bng'"
_SESSIONS = (
    f"<sessions xmlns='{_SUBSCRIBER}'><session><id>0000000000000001</id><counters/></session></sessions>"
)
_PROFILE = (
    f"<shaping-profiles xmlns='{_SHAPING}'><profile nc:operation='merge'><name>gold</name><download>"
    "<rate>1000000</rate></download><upload><rate>1000000</rate></upload></profile></shaping-profiles>"
)
_CONFIG = f"<config xmlns:nc='{BASE_NS}'>{_PROFILE}</config>"
_USERS = (
    f"<config xmlns:nc='{BASE_NS}'><system xmlns='{_YANG}ietf-system'><authentication><user>"
    "<name>other</name><password>$0$some</password></user></authentication></system>"
    "<bng xmlns='urn:aether:yang:aether-bng'><aaa><server><name>r</name><address>192.0.2.1</address>"
    "<secret>abcdefgh</secret></server></aaa></bng></config>"
)
_NACM = (
    f"<config xmlns:nc='{BASE_NS}'><nacm xmlns='{_YANG}ietf-netconf-acm'><rule-list><name>new</name>"
    "<group>viewers</group><rule><name>r</name><path xmlns:h='urn:aether:yang:aether-shaping'>"
    "/h:shaping-profiles/h:profile[h:name='gold']</path><access-operations>read</access-operations>"
    "<action>deny</action></rule></rule-list></nacm></config>"
)

_FILTERS = (
    f"<config><filters xmlns='{_YANG}ietf-subscribed-notifications'><stream-filter><name>starts</name>"
    f"<stream-xpath-filter {_PREFIXES}>/s:session-start</stream-xpath-filter></stream-filter></filters>"
    "</config>"
)
_ORDERED = (
    f"<config xmlns:y='{_YANG[:-5]}yang:1' xmlns:n='{_YANG}ietf-netconf-acm'><n:nacm>"
    "<n:rule-list y:insert='before' y:key=\"[n:name='viewers']\"><n:name>first</n:name>"
    "<n:group>viewers</n:group></n:rule-list></n:nacm></config>"
)
_CONFIGURATION = "urn:aether:yang:aether-configuration"

_OPERATIONS = [
    f"<get><filter>{_SESSIONS}</filter></get>",
    f"<get><filter type='xpath' {_PREFIXES} select=\"/s:sessions/s:session[s:status='active']/s:counters\"/>"
    "</get>",
    f"<get><filter type='xpath' {_PREFIXES} select=\"//h:profile[position()=last() and count(*)>1]\"/></get>",
    f"<get-config><source><running/></source><filter>{_SESSIONS}<shaping-profiles xmlns='{_SHAPING}'/>"
    f"</filter><with-defaults {_WITH_DEFAULTS}>report-all-tagged</with-defaults></get-config>",
    "<get-config><source><candidate/></source></get-config>",
    "<get-config><source><startup/></source></get-config>",
    "<edit-config><target><candidate/></target><default-operation>merge</default-operation>"
    "<test-option>test-then-set</test-option><error-option>continue-on-error</error-option>"
    f"{_CONFIG}</edit-config>",
    f"<edit-config><target><candidate/></target>{_USERS}</edit-config>",
    f"<edit-config><target><candidate/></target>{_NACM}</edit-config>",
    "<edit-config><target><candidate/></target><url>file:///one.xml</url></edit-config>",
    "<copy-config><target><url>file:///one.xml</url></target><source><running/></source>"
    f"<with-defaults {_WITH_DEFAULTS}>trim</with-defaults></copy-config>",
    "<copy-config><target><candidate/></target><source><url>file:///one.xml</url></source></copy-config>",
    f"<copy-config><target><candidate/></target><source>{_CONFIG}</source></copy-config>",
    "<copy-config><target><startup/></target><source><running/></source></copy-config>",
    "<delete-config><target><url>file:///one.xml</url></target></delete-config>",
    f"<validate><source>{_CONFIG}</source></validate>",
    "<validate><source><candidate/></source></validate>",
    "<lock><target><running/></target></lock>",
    "<unlock><target><running/></target></unlock>",
    "<lock><target><candidate/></target></lock>",
    "<unlock><target><candidate/></target></unlock>",
    "<commit/>",
    "<commit><confirmed/><confirm-timeout>60</confirm-timeout><persist>token</persist></commit>",
    "<commit><persist-id>token</persist-id></commit>",
    "<cancel-commit><persist-id>token</persist-id></cancel-commit>",
    "<discard-changes/>",
    "<kill-session><session-id>4</session-id></kill-session>",
    "<close-session/>",
    f"<get-schema xmlns='{_YANG}ietf-netconf-monitoring'><identifier>aether-shaping</identifier>"
    "<format>yang</format></get-schema>",
    f"<get-data {_DATA}><datastore>ds:operational</datastore><subtree-filter>{_SESSIONS}</subtree-filter>"
    "<config-filter>false</config-filter><max-depth>3</max-depth></get-data>",
    f"<get-data {_DATA} {_PREFIXES}><datastore>ds:operational</datastore>"
    "<xpath-filter>/h:shaping-profiles | /b:bng</xpath-filter><origin-filter>or:intended</origin-filter>"
    "<max-depth>unbounded</max-depth><with-origin/><with-defaults>report-all</with-defaults></get-data>",
    f"<edit-data {_DATA}><datastore>ds:candidate</datastore><default-operation>none</default-operation>"
    f"{_CONFIG}</edit-data>",
    f"<partial-lock xmlns='{_YANG[:-5]}netconf:partial-lock:1.0' {_PREFIXES}>"
    "<select>/h:shaping-profiles/h:profile[h:name='gold']</select></partial-lock>",
    f"<partial-unlock xmlns='{_YANG[:-5]}netconf:partial-lock:1.0'><lock-id>1</lock-id></partial-unlock>",
    f"<create-subscription xmlns='{_YANG[:-5]}netconf:notification:1.0'><stream>NETCONF</stream>"
    f"<filter>{_SESSIONS}</filter><startTime>2026-09-21T00:00:00Z</startTime>"
    "<stopTime>2026-09-22T00:00:00Z</stopTime></create-subscription>",
    f"<update xmlns='{_YANG}ietf-netconf-private-candidate'><resolution-mode>prefer-candidate"
    "</resolution-mode></update>",
    f"<establish-subscription {_SN}><stream>NETCONF</stream><replay-start-time>2026-09-21T00:00:00Z"
    f"</replay-start-time><stream-subtree-filter>{_SESSIONS}</stream-subtree-filter>"
    "<stop-time>2036-09-22T00:00:00Z</stop-time></establish-subscription>",
    f"<establish-subscription {_SN}><stream>NETCONF</stream><stream-xpath-filter {_PREFIXES}>"
    "/s:session-start[s:seq>3]</stream-xpath-filter></establish-subscription>",
    f"<establish-subscription {_SN} xmlns:ds='{_YANG}ietf-datastores'>"
    f"<yp:datastore>ds:operational</yp:datastore><yp:datastore-subtree-filter>{_SESSIONS}"
    "</yp:datastore-subtree-filter><yp:periodic><yp:period>100</yp:period>"
    "<yp:anchor-time>2026-01-01T00:00:00Z</yp:anchor-time></yp:periodic></establish-subscription>",
    f"<establish-subscription {_SN} xmlns:ds='{_YANG}ietf-datastores' {_PREFIXES}>"
    "<yp:datastore>ds:running</yp:datastore><yp:datastore-xpath-filter>/h:shaping-profiles/h:profile"
    "</yp:datastore-xpath-filter><yp:on-change><yp:dampening-period>10</yp:dampening-period>"
    "<yp:sync-on-start>true</yp:sync-on-start><yp:excluded-change>delete</yp:excluded-change></yp:on-change>"
    "</establish-subscription>",
    f"<modify-subscription {_SN}><id>1</id><stop-time>2036-09-22T00:00:00Z</stop-time></modify-subscription>",
    f"<delete-subscription {_SN}><id>1</id></delete-subscription>",
    f"<kill-subscription {_SN}><id>1</id></kill-subscription>",
    f"<resync-subscription xmlns='{_YANG}ietf-yang-push'><id>1</id></resync-subscription>",
    f"<action xmlns='{_YANG[:-5]}yang:1'><sessions xmlns='{_SUBSCRIBER}'><session><id>0000000000000001</id>"
    "<disconnect><reason>test</reason></disconnect></session></sessions></action>",
    f"<action xmlns='{_YANG[:-5]}yang:1'><sessions xmlns='{_SUBSCRIBER}'><session><id>0000000000000002</id>"
    "<set-profile><profile>gold</profile></set-profile></session></sessions></action>",
    f"<action xmlns='{_YANG[:-5]}yang:1'><sessions xmlns='{_SUBSCRIBER}'><session><id>0000000000000002</id>"
    "<reauthenticate/></session></sessions></action>",
    f"<get-commit-diff xmlns='{_CONFIGURATION}'><number>1</number><against>0</against><format>xml</format>"
    "</get-commit-diff>",
    f"<rollback-to xmlns='{_CONFIGURATION}'><number>0</number><comment>back</comment></rollback-to>",
    f"<commit><comment xmlns='{_CONFIGURATION}'>ticket 4711</comment></commit>",
    "<commit><confirmed/><confirm-timeout>1</confirm-timeout></commit>",
    "<cancel-commit/>",
    "<copy-config><target><url>file:///two.xml</url></target><source><url>file:///one.xml</url></source>"
    "</copy-config>",
    "<validate><source><url>file:///two.xml</url></source></validate>",
    "<copy-config><target><url>file:///one.xml</url></target><source><candidate/></source></copy-config>",
    "<delete-config><target><candidate/></target></delete-config>",
    "<get-config><source><running/></source></get-config>",
    "<get/>",
    f"<edit-config><target><candidate/></target><default-operation>replace</default-operation>"
    f"{_CONFIG}</edit-config>",
    f"<edit-config><target><candidate/></target>{_FILTERS}</edit-config>",
    f"<edit-config><target><candidate/></target>{_ORDERED}</edit-config>",
    f"<establish-subscription {_SN}><stream>NETCONF</stream><stream-filter-name>starts</stream-filter-name>"
    "</establish-subscription>",
    f"<create-subscription xmlns='{_YANG[:-5]}netconf:notification:1.0'/>",
    f"<disconnect-sessions xmlns='{_SUBSCRIBER}'><remote-id>an-0000</remote-id><reason>x</reason>"
    "</disconnect-sessions>",
]
REQUESTS = [
    f"<rpc xmlns='{BASE_NS}' message-id='{number}'>{operation}</rpc>".encode()
    for number, operation in enumerate(_OPERATIONS)
]
WORDS = [
    *[b"0", b"-1", b"4294967296", b"99999999999999999999", b"true", b"", b"x" * 300, b"1e400", b"NaN"],
    *[b"operational", b"running", b"startup", b"candidate", b"intended", b"*", b"..", b"/", b"//*", b"[1]"],
    *[
        b"&#x10FFFF;",
        b"&#xFFFE;",
        b"\xc3\xa4",
        b"\xef\xbf\xbd",
        b"&lt;",
        b" ",
        b"\n",
        b"x:y",
        b":",
        b"xmlns:",
    ],
    *[b"nc:operation='delete'", b"nc:operation='create'", b"xmlns=''", b"0000-00-00T00:00:00Z"],
    *[
        b"9999-12-31T23:59:59Z",
        b"0001-01-01T00:00:00+14:00",
        b"$0$x",
        b"$6$x$y",
        b"file:///one.xml",
        b"report-all",
    ],
]
